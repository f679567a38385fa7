#!/usr/bin/env bash
# Makes the generated files of deploy/ anew: the CRD, which stands where kustomize and where Helm look for it, and the
# one-file install. Needs headroomctl (make build) and, for the latter, kubectl or kustomize.
set -euo pipefail
cd "$(dirname "$0")"
ctl=${HEADROOM_BIN:-../build/release/bin}/headroomctl
"$ctl" policy crd | tee kustomize/crd/storageclusters.yaml > helm/headroom/files/storageclusters.yaml
if command -v kubectl >/dev/null; then kustomize=(kubectl kustomize); else kustomize=(kustomize build); fi
{ echo "# Made by deploy/manifests.sh of deploy/kustomize/default: kubectl apply -f install.yaml"; "${kustomize[@]}" kustomize/default; } > install.yaml
