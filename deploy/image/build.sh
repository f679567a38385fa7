#!/usr/bin/env bash
# The OCI image of Headroom, made of its Debian packages and of Debian's: nothing is pulled from a registry of images.
#
#   deploy/image/build.sh [FOLDER_OF_PACKAGES]     default: build/release/packages (make packages)
#
# The image holds the four programs, the libraries that they need and the certificates of public CAs: no shell, no package manager.
# It runs as user 65532. The same packages, Debian mirror and SOURCE_DATE_EPOCH give the same layers. Needs root, mmdebstrap and
# buildah (Debian's). The result: FOLDER/headroom-VERSION.oci.tar, for `skopeo copy oci-archive:...` or `podman load`.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "image: needs root, for mmdebstrap and the owners of files; run it as root" >&2; exit 1; }
packages=$(realpath "${1:-build/release/packages}")
debs=("$packages"/headroom-{server,cli,agent}_*.deb)
[ -e "${debs[0]}" ] || { echo "image: no packages in $packages; run make packages" >&2; exit 1; }
for tool in mmdebstrap buildah; do
  command -v $tool >/dev/null || { echo "image: $tool is missing (Debian's package of that name)" >&2; exit 1; }
done
version=$(dpkg-deb -f "${debs[0]}" Version)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
work=$(mktemp -d /var/tmp/headroom-image.XXXXXX)
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
trap 'buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true; rm -rf --one-file-system "$work"' EXIT

# Libraries: what the packages depend on but for what only an init system needs.
mapfile -t libraries < <(for deb in "${debs[@]}"; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' |
  sed 's/|.*//; s/(.*//; s/ //g' | grep -vxE 'systemd|passwd|init-system-helpers' | sort -u)
# `extract` runs no script of any package, so what they would have made is made below.
mmdebstrap --quiet --variant=extract --include="$(IFS=,; echo "${libraries[*]}"),ca-certificates" \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr bookworm "$work/whole"

root=$work/root
mkdir -p "$root"/{etc/ssl/certs,etc/headroom,var/lib/headroom,tmp,usr/bin}
for deb in "${debs[@]}"; do dpkg-deb -x "$deb" "$work/ours"; done
cp -a "$work"/ours/usr/bin/headroom* "$root/usr/bin/"
# Only libraries that something loads, and what names of hosts are looked up with.
libs=usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)
mkdir -p "$root/$libs" "$root/usr/lib64"
ln -s usr/lib "$root/lib"; ln -s usr/lib64 "$root/lib64"; ln -s usr/bin "$root/bin"
cp -a "$work/whole/$libs"/*.so* "$root/$libs/"
cp -a "$work/whole"/usr/lib64/ld-linux* "$root/usr/lib64/" 2>/dev/null || true
cat "$work"/whole/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
echo 'headroom:x:65532:65532:Headroom:/var/lib/headroom:/usr/sbin/nologin' > "$root/etc/passwd"
echo 'headroom:x:65532:' > "$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$root/etc/nsswitch.conf"
cp "$work/ours/etc/headroom/policy.yaml" "$root/etc/headroom/"
chown 65532:65532 "$root/var/lib/headroom"; chmod 1777 "$root/tmp"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

container=$(buildah "${storage[@]}" from scratch)
buildah "${storage[@]}" add --quiet "$container" "$root" / >/dev/null
buildah "${storage[@]}" config --user 65532:65532 --workingdir /var/lib/headroom --cmd 'headroomd --config /etc/headroom/policy.yaml' --env PATH=/usr/bin \
  --env STATE_DIRECTORY=/var/lib/headroom --port 7600 --port 7601 --stop-signal SIGTERM \
  --label org.opencontainers.image.title=headroom --label "org.opencontainers.image.version=$version" \
  --label org.opencontainers.image.licenses=Apache-2.0 \
  --label "org.opencontainers.image.description=Autoscaling controller for storage clusters" "$container"
# Before it is written: each program starts as the image's user.
for name in headroomd headroomctl headroom-node headroom-agent; do
  buildah "${storage[@]}" run --isolation chroot "$container" -- /usr/bin/$name --help >/dev/null
done
buildah "${storage[@]}" run --isolation chroot "$container" -- /usr/bin/headroomctl policy check /etc/headroom/policy.yaml
buildah "${storage[@]}" commit --quiet --timestamp "$SOURCE_DATE_EPOCH" "$container" "headroom:${version%-*}" >/dev/null
archive=$packages/headroom-${version%-*}.oci.tar
rm -f "$archive"
buildah "${storage[@]}" push --quiet "headroom:${version%-*}" "oci-archive:$archive:headroom:${version%-*}"
echo "image: $archive, $(du -m "$archive" | cut -f1) MB, $(sha256sum "$archive" | cut -c1-16)"
