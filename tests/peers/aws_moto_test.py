#!/usr/bin/env python3
"""headroomd scales an Auto Scaling group of moto, the second opinion on AWS's API, through a surge; the victims are the ones it names."""

import http.client
import pathlib
import threading
import unittest
import urllib.parse
import xml.etree.ElementTree as xml

import peer_case
from processes import free_ports

MOTO = pathlib.Path(peer_case.ROOT / "build/peers/moto/bin/moto_server")
MISSING = "moto is missing: `make test-peers` installs it from PyPI where Debian's python3-venv is (build/peers/moto.log)"
REGION, GROUP = "us-east-1", "files"
CALM, SURGE = 30, 75  # connections; a node takes 20 and is to be filled to 70 %
SIGNED = f"AWS4-HMAC-SHA256 Credential=tests/20261123/{REGION}/autoscaling/aws4_request, SignedHeaders=host, Signature=none"


class Group:
    """The group as moto has it; moto does not look at signatures."""

    def __init__(self, port):
        self.port = port

    def call(self, action, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            body = urllib.parse.urlencode({"Action": action, "Version": "2011-01-01", **fields})
            connection.request("POST", "/", body, {"Authorization": SIGNED, "Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise peer_case.PeerError(f"{action}: {text.decode(errors='replace')}")
        return xml.fromstring(text)

    def make(self, count, most):
        self.call("CreateLaunchConfiguration", LaunchConfigurationName="small", ImageId="ami-12c6146b", InstanceType="t3.small")
        self.call("CreateAutoScalingGroup", AutoScalingGroupName=GROUP, LaunchConfigurationName="small", MinSize=1, MaxSize=most,
                  DesiredCapacity=count, **{"AvailabilityZones.member.1": f"{REGION}a", "AvailabilityZones.member.2": f"{REGION}b"})

    def describe(self):
        root = self.call("DescribeAutoScalingGroups", **{"AutoScalingGroupNames.member.1": GROUP})
        return next(item for item in root.iter() if item.tag.endswith("}AutoScalingGroups"))[0]

    def desired(self):
        return int(next(item.text for item in self.describe() if item.tag.endswith("}DesiredCapacity")))

    def instances(self):
        """Those in service, by id."""
        found = next(item for item in self.describe() if item.tag.endswith("}Instances"))
        texts = [{field.tag.partition("}")[2]: field.text for field in one} for one in found]
        return sorted(one["InstanceId"] for one in texts if one["LifecycleState"] == "InService")


class Machines(threading.Thread):
    """Each instance in service runs a headroom-node; what is no more in service ends."""

    def __init__(self, group, programs):
        super().__init__(daemon=True)
        self.group, self.programs, self.processes, self.ended = group, programs, {}, threading.Event()

    def run(self):
        while not self.ended.wait(0.2):
            try:
                there = self.group.instances()
            except (OSError, peer_case.PeerError):
                continue
            for instance in there:
                if instance not in self.processes:
                    self.processes[instance] = self.programs.run(instance)
            for instance in [one for one in self.processes if one not in there]:
                process = self.processes.pop(instance)
                self.programs.on_leave(instance, process)
                self.programs.processes.end(process)

    def running(self):
        return list(self.processes.items())

    def stop(self):
        self.ended.set()
        self.join(30)


class MotoTest(peer_case.PeerCase):
    @classmethod
    def setUpClass(cls):
        if not MOTO.exists():
            raise unittest.SkipTest(f"NOT TESTED: {MISSING}")

    def start_moto(self):
        port = free_ports(1)[0]
        process = self.processes.spawn("moto", [MOTO, "-H", "127.0.0.1", "-p", port])
        group = Group(port)
        self.eventually("moto", lambda: process.poll() is None and answers(port), 60)
        return group

    def test_a_group_goes_up_and_down_with_the_victims_named(self):
        group = self.start_moto()
        group.make(count=3, most=8)
        policy = peer_case.policy_of(f'aws: {{group: "{GROUP}", region: {REGION}, endpoint: "http://127.0.0.1:{group.port}"}}')
        daemon = peer_case.Daemon(self.processes, "headroomd", policy, AWS_ACCESS_KEY_ID="tests", AWS_SECRET_ACCESS_KEY="tests",
                                  AWS_EC2_METADATA_DISABLED="true")
        programs = peer_case.Programs(self.processes, [daemon.address])
        machines = Machines(group, programs)
        machines.start()
        self.addCleanup(machines.stop)
        clients = peer_case.Clients(programs, machines)
        clients.start()
        self.addCleanup(clients.stop)

        clients.wanted = CALM
        self.eventually("three serving nodes", lambda: len(daemon.serving()) == 3, 60)
        self.assertEqual(daemon.serving(), group.instances())
        clients.wanted = SURGE
        self.eventually("at least five serving nodes", lambda: len(daemon.serving()) >= 5, 60)
        self.assertEqual(programs.leavers, [])
        clients.wanted = CALM
        self.eventually("three again", lambda: len(group.instances()) == 3 and len(daemon.serving()) == 3, 90)
        self.assertEqual(group.desired(), 3)
        self.assertEqual(daemon.serving(), group.instances())

        self.eventually("the last one's end", lambda: len(machines.processes) == 3)
        print(f"{GROUP}: 3 -> {3 + len(programs.leavers)} -> 3; left: {programs.leavers}")
        named = {action["nodeId"] for decision in daemon.decisions() for action in decision.get("actions", [])
                 if action["kind"] == "terminate"}
        self.assertEqual({leaver["pod"] for leaver in programs.leavers}, named, "another one left than was named")
        self.assertEqual({(leaver["open"], leaver["state"]) for leaver in programs.leavers}, {(0, "draining")})


def answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status == 200
    except OSError:
        return False


if __name__ == "__main__":
    peer_case.main()
