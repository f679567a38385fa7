#!/usr/bin/env bash
# Part of making a release: writes down the schema that the release speaks, for the next one to be held against.
set -euo pipefail
cd "$(dirname "$0")/../.."
files=(headroom/v1/load.proto headroom/v1/policy.proto headroom/v1/decision.proto headroom/v1/admin.proto)
for file in proto/headroom/v1/*.proto; do
  name=${file#proto/}
  # Scenarios are files of the laboratory: nobody speaks them.
  [[ $name == */scenario.proto || " ${files[*]} " == *" $name "* ]] || files+=("$name")
done
protoc -I proto --include_imports --descriptor_set_out=/dev/stdout "${files[@]}" |
  protoc --decode=google.protobuf.FileDescriptorSet google/protobuf/descriptor.proto -I /usr/include |
  grep -v '^ *json_name: ' > tests/compat/released.txtpb
