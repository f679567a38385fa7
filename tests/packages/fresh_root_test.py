#!/usr/bin/env python3
"""The Debian packages in a fresh Debian 12: they install, headroomd runs under its sandbox, and purging leaves nothing.

    tests/packages/fresh_root_test.py FOLDER_OF_PACKAGES

Makes a root with mmdebstrap and boots it with systemd-nspawn, without a network of its own. Needs root, both tools and
Debian's mirror; about four minutes. Where something is missing it says so in one line and exits with 77.
"""

import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

BASE = "systemd,systemd-sysv,dbus,haproxy"
BOOT_SECONDS_MAX = 240
NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network")
# What packages leave behind by their nature: logs, caches and the records of dpkg and of the user database.
OURS_OF_DPKG = ("var/log/", "var/cache/", "var/lib/dpkg/", "var/lib/apt/", "var/lib/systemd/deb-systemd-helper-",
                "etc/ld.so.cache", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock", "var/tmp/", "run/", "tmp/",
                "proc/", "sys/", "dev/")

# Runs inside the booted root; the last line of its output is OK or what failed.
TRIAL = r"""#!/bin/bash
exec > /var/tmp/trial.log 2>&1
fail() { echo "FAILED: $*"; systemctl status --no-pager -l headroomd headroom-node headroom-agent; journalctl --no-pager -u headroomd -u headroom-node -u headroom-agent | tail -60; systemctl poweroff; exit; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done; return 1; }
says() { systemctl show -p StatusText --value headroomd | grep -q "$1"; }
until_true systemctl is-active headroomd || fail headroomd does not start by itself
until_true says "cluster example: deciding" || fail headroomd does not tell systemd what it does
until_true headroomctl status || fail headroomctl cannot reach it
headroomctl status
[ "$(stat -c %U:%a /var/lib/headroom)" = headroom:700 ] || fail the state folder is not its own
pid=$(systemctl show -p MainPID --value headroomd)
[ "$(stat -c %U /proc/$pid)" = headroom ] || fail headroomd does not run as its user
grep -q '^CapEff:.0*$' /proc/$pid/status || fail headroomd has capabilities
grep -q '^NoNewPrivs:.1' /proc/$pid/status || fail headroomd may gain privileges
grep -q '^Seccomp:.2' /proc/$pid/status || fail headroomd has no filter of system calls
echo "nonsense: 1" >> /etc/headroom/policy.yaml
systemctl reload headroomd || fail reload
until_true sh -c 'headroomctl status | grep -q nonsense' || fail a bad policy is not told
sed -i '/nonsense/d' /etc/headroom/policy.yaml
# A loop that hangs: here the whole process.
restarts() { [ "$(systemctl show -p NRestarts --value headroomd)" -ge 1 ]; }
kill -STOP $pid
until_true restarts || fail the watchdog does not start it anew
until_true says deciding || fail it does not serve after the watchdog
systemctl start headroom-node || fail headroom-node does not start
until_true bash -c 'exec 3<>/dev/tcp/127.0.0.1/8081; printf "GET /readyz HTTP/1.0\r\n\r\n" >&3; grep -q "200 OK" <&3' || fail headroom-node is not ready
[ "$(systemctl is-active headroom-node)" = active ] || fail headroom-node does not stay
cat > /etc/haproxy/haproxy.cfg <<END
global
    stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend files
    bind 127.0.0.1:9000
    default_backend files
backend files
    server-template n 4 127.0.0.1:8080 disabled
END
systemctl restart haproxy || fail haproxy
cat > /etc/default/headroom-agent <<END
HEADROOM_AGENT_OPTIONS="--haproxy-socket /run/haproxy/admin.sock --backend files --frontend files --balancer-id lb1 --controller 127.0.0.1:7600"
END
systemctl start headroom-agent || fail headroom-agent does not start
agent_says() { journalctl --no-pager -u headroom-agent | grep -q "$1"; }
until_true agent_says controller_found || fail headroom-agent does not reach headroomd
until_true agent_says haproxy_found || fail headroom-agent does not reach HAProxy
[ "$(systemctl is-active headroom-agent)" = active ] || fail headroom-agent does not stay
# Nodes that headroomd itself starts: a restart finds them and starts no others.
cat > /etc/headroom/policy.yaml <<END
cluster: local
mode: dry_run
nodes: {min: 2, max: 3}
provider: {local: {data_dir: /var/lib/headroom/files}}
END
install -d -o headroom -g headroom /var/lib/headroom/files
# Beside them the file server of the package reports, too.
two_serve() { for node in node-1 node-2; do headroomctl nodes | grep -q "^$node  *serving" || return 1; done; }
# As headroomd has written them down: those it takes for gone are started anew, and get another.
pids() { sed -n 's/^pid //p' /var/lib/headroom/nodes/node-[12] | tr '\n' ' '; }
systemctl restart headroomd || fail headroomd with provider local
until_true two_serve || { headroomctl nodes; ls -l /var/lib/headroom/nodes; tail /var/lib/headroom/nodes/*.log; fail its nodes do not serve; }
nodes=$(pids)
systemctl restart headroomd || fail the restart with nodes
until_true says "cluster local: deciding" || fail it does not decide after the restart
until_true two_serve || fail its nodes do not come back
[ "$(pids)" = "$nodes" ] || fail "its nodes were $nodes and are $(pids)"
systemctl stop headroomd || fail stop
[ "$(systemctl show -p Result --value headroomd)" = success ] || fail headroomd does not stop in good order
systemctl start headroomd
# With nodes that serve on, the user stays until they are gone.
dpkg --purge headroom-server > /var/tmp/purge.log 2>&1 || fail "purge: $(cat /var/tmp/purge.log)"
for pid in $nodes; do grep -qw "$pid" /var/tmp/purge.log || fail "purging does not say that $pid stays: $(cat /var/tmp/purge.log)"; done
kill $nodes || fail its nodes are gone
are_gone() { ! kill -0 $nodes; }
until_true are_gone || fail its nodes do not end
dpkg --purge headroom-cli headroom-agent || fail purge
for unit in headroomd headroom-node headroom-agent; do
  [ "$(systemctl is-active $unit)" = active ] && fail $unit still runs
  [ "$(systemctl show -p LoadState --value $unit)" = not-found ] || fail systemd still knows $unit
done
cat /proc/[0-9]*/comm | grep headroom && fail processes are left
echo OK
systemctl poweroff
"""
TRIAL_UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/var/tmp/trial
"""


def not_tested(why):
    print(f"NOT TESTED: {why}")
    sys.exit(77)


def run(*arguments, **options):
    return subprocess.run([str(argument) for argument in arguments], check=True, **options)


def picture(root):
    """Every file with what it is, but for what belongs to dpkg itself."""
    seen = {}
    for folder, names, files in os.walk(root):
        for name in names + files:
            path = pathlib.Path(folder) / name
            short = str(path.relative_to(root))
            if (short + "/").startswith(OURS_OF_DPKG) or short.startswith(OURS_OF_DPKG):
                continue
            info = path.lstat()
            content = ""
            if stat.S_ISREG(info.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            seen[short] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, content)
    return seen


def differences(before, after):
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def inside(root, *command):
    run("chroot", root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8", *command,
        stdout=subprocess.DEVNULL)


def make_root(root, packages):
    run("mmdebstrap", "--quiet", "--variant=apt", f"--include={BASE}", "bookworm", root, stdout=subprocess.DEVNULL)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    inside(root, "apt-get", "update", "-qq")
    for package in packages:
        shutil.copy(package, root / "var/tmp")
        depends = run("dpkg-deb", "-f", package, "Depends", stdout=subprocess.PIPE, text=True).stdout.strip()
        inside(root, "apt-get", "satisfy", "-qq", "-y", "--no-install-recommends", depends)


def install(root, packages):
    inside(root, "dpkg", "-i", *(f"/var/tmp/{package.name}" for package in packages))


def check_purge(root, packages):
    before = picture(root)
    install(root, packages)
    added = differences(before, picture(root))
    assert any(name.endswith("bin/headroomd") for name in added), added
    inside(root, "dpkg", "--purge", "headroom-server", "headroom-cli", "headroom-agent")
    left = differences(before, picture(root))
    assert not left, f"purging leaves {left}"
    print(f"installed {len(added)} files and folders, purged: none is left")


def check_run(root, packages):
    install(root, packages)
    (root / "var/tmp/trial").write_text(TRIAL)
    (root / "var/tmp/trial").chmod(0o755)
    (root / "etc/systemd/system/trial.service").write_text(TRIAL_UNIT)
    wanted = root / "etc/systemd/system/default.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "trial.service").symlink_to("/etc/systemd/system/trial.service")
    # The watchdog's thirty seconds are not waited for.
    quick = root / "etc/systemd/system/headroomd.service.d"
    quick.mkdir()
    (quick / "quick.conf").write_text("[Service]\nWatchdogSec=3\n")
    (root / "etc/machine-id").write_text("")
    if subprocess.run([*NSPAWN, "-D", root, "/bin/true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode:
        not_tested("this machine starts no container, so the packages were installed and purged but not run")
    try:
        run(*NSPAWN, "-D", root, "-b", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=BOOT_SECONDS_MAX)
    finally:  # however it ended
        told = root / "var/tmp/trial.log"
        log = told.read_text() if told.exists() else ""
        print(log)
    assert log, "the trial in the booted root did not begin"
    assert log.rstrip().splitlines()[-1] == "OK", "the trial in the booted root failed"
    left = [path for path in ("var/lib/headroom", "etc/headroom", "usr/bin/headroomd") if (root / path).exists()]
    assert not left, left
    assert "headroom" not in (root / "etc/passwd").read_text()


def main():
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("systemd-nspawn", "systemd-container")):
        if shutil.which(tool) is None:
            not_tested(f"{tool} is missing (Debian's package {package})")
    if os.geteuid() != 0:
        not_tested("a fresh root can only be made and booted as root")
    packages = sorted(pathlib.Path(sys.argv[1]).glob("*.deb"))
    assert len(packages) == 3, packages
    work = pathlib.Path(tempfile.mkdtemp(prefix="headroom-packages-", dir="/var/tmp"))
    try:
        root = work / "root"
        make_root(root, packages)
        check_purge(root, packages)
        check_run(root, packages)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("the packages install, run and purge in a fresh Debian 12")


if __name__ == "__main__":
    main()
