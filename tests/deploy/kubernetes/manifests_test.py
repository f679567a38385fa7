#!/usr/bin/env python3
"""What is applied to Kubernetes: the one-file install, the chart and the examples.

kubectl (or kustomize) and helm render them where they are; what was not rendered is said. Against a real API server they are
applied by `make test-peers`.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/headroom"
PROGRAMS = pathlib.Path(os.environ.get("HEADROOM_BIN", ROOT / "build/release/bin")).resolve()

try:
    import yaml
except ImportError:
    print("NOT TESTED: python3-yaml is missing, so no manifest was read")
    sys.exit(77)


def program(*names):
    for name in names:
        beside = ROOT / "build/peers" / name
        found = str(beside) if beside.exists() else shutil.which(name)
        if found:
            return found
    return None


def run(*arguments, **options):
    return subprocess.run([str(argument) for argument in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, **options)


def objects(text):
    return [item for item in yaml.safe_load_all(text) if item]


def kustomized(folder):
    kubectl, kustomize = program("kubectl"), program("kustomize")
    if kubectl:
        made = run(kubectl, "kustomize", DEPLOY / "kustomize" / folder)
    elif kustomize:
        made = run(kustomize, "build", DEPLOY / "kustomize" / folder)
    else:
        raise unittest.SkipTest("NOT TESTED: neither kubectl nor kustomize is here, so the base was not built")
    assert made.returncode == 0, made.stderr
    return made.stdout


def overlaid(*folders, components=(), patches=()):
    """What an overlay in namespace `storage` makes of folders of ours, as their comments say to use them."""
    with tempfile.TemporaryDirectory() as place:
        def ours(names):
            return [os.path.relpath(DEPLOY / "kustomize" / name, os.path.realpath(place)) for name in names]

        (pathlib.Path(place) / "kustomization.yaml").write_text(json.dumps({
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "storage",
            "resources": ours(folders), "components": ours(components), "patches": list(patches)}))
        return objects(kustomized(place))


def helm(*arguments):
    found = program("helm")
    if not found:
        raise unittest.SkipTest("NOT TESTED: helm is missing (`make test-chart` builds it where Go 1.22 or newer is), so the chart was not rendered")
    # Built as a Go module it knows of no release of Kubernetes but 1.20.
    return run(found, *arguments, "--kube-version", "1.31.0") if arguments[0] != "lint" else run(found, *arguments)


def rendered(*values):
    options = [option for value in values for option in ("--set", value)]
    made = helm("template", "headroom", CHART, "--namespace", "headroom", *options)
    assert made.returncode == 0, made.stderr
    return objects(made.stdout)


def of_kind(items, kind):
    return [item for item in items if item["kind"] == kind]


def only(items, kind):
    found = of_kind(items, kind)
    assert len(found) == 1, f"{len(found)} of kind {kind}"
    return found[0]


def pods(items):
    for item in items:
        if item["kind"] == "Pod":
            yield item["metadata"]["name"], item["spec"]
        elif item["kind"] in ("StatefulSet", "Deployment"):
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]


def every_rule(items):
    return [rule for item in items if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]


class Checks:
    """What holds for any way to install."""

    def check_pods_are_restricted(self, items):
        """The profile `restricted` of the pod security standards, and a root file system that nobody writes to."""
        seen = 0
        for name, pod in pods(items):
            self.assertTrue(pod["securityContext"]["runAsNonRoot"], name)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, name)
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                self.assertNotIn(key, pod, name)
            for volume in pod.get("volumes", []):
                self.assertLessEqual(set(volume) - {"name"}, {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}, name)
            for container in pod["containers"] + pod.get("initContainers", []):
                context = container["securityContext"]
                self.assertFalse(context["allowPrivilegeEscalation"], name)
                self.assertTrue(context["readOnlyRootFilesystem"], name)
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]}, name)
                self.assertIn("memory", container["resources"]["limits"], name)
                seen += 1
        self.assertGreater(seen, 0)

    def check_rights_are_few(self, items, beyond=()):
        """Nothing beyond the namespace but zones, save by the ClusterRoles in `beyond`."""
        for rule in every_rule(items):
            self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"])
            self.assertFalse({"secrets", "serviceaccounts", "roles", "pods/exec"} & set(rule["resources"]), rule)
            self.assertFalse({"delete", "deletecollection", "impersonate", "escalate", "bind"} & set(rule["verbs"]), rule)
        for role in of_kind(items, "ClusterRole"):
            if role["metadata"]["name"] not in beyond:
                self.assertEqual(role["rules"], [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}])

    def check_bindings_meet(self, items):
        named = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in items}
        for binding in of_kind(items, "RoleBinding") + of_kind(items, "ClusterRoleBinding"):
            place = binding["metadata"].get("namespace")
            self.assertIn((binding["roleRef"]["kind"], place, binding["roleRef"]["name"]), named)
            for subject in binding["subjects"]:
                accounts = {(item["metadata"]["name"], item["metadata"].get("namespace")) for item in of_kind(items, "ServiceAccount")}
                self.assertIn(subject["name"], {name for name, _ in accounts})
                if all(home for _, home in accounts):
                    self.assertIn((subject["name"], subject["namespace"]), accounts, binding["metadata"]["name"])

    def check_options_exist(self, items):
        """Every option that a pod gives to a program of ours is one that it has."""
        for name, pod in pods(items):
            for container in pod["containers"]:
                if container.get("command", [""])[0] not in ("headroomd", "headroomctl", "headroom-node", "headroom-agent"):
                    continue
                told = run(PROGRAMS / container["command"][0], "--help").stdout
                for argument in container["args"]:
                    if argument.startswith("--"):
                        self.assertIn(argument.split("=")[0] + " ", told.replace("\n", " ").replace(",", " "), f"{name}: {argument}")

    def check_all(self, items, beyond=()):
        self.check_pods_are_restricted(items)
        self.check_rights_are_few(items, beyond)
        self.check_bindings_meet(items)
        self.check_options_exist(items)


class InstallTest(unittest.TestCase, Checks):
    def test_the_one_file_is_made_of_the_base(self):
        self.assertEqual(objects((DEPLOY / "install.yaml").read_text()), objects(kustomized("default")), "run `make manifests`")

    def test_it_asks_for_little(self):
        self.check_all(objects((DEPLOY / "install.yaml").read_text()))

    def test_its_policy_is_good(self):
        checked = run(PROGRAMS / "headroomctl", "policy", "check", DEPLOY / "kustomize/base/policy.yaml")
        self.assertEqual(checked.returncode, 0, checked.stderr)


    def test_an_overlay_in_another_namespace_holds_together(self):
        other = {"target": {"kind": "Role", "name": "headroom-election"},
                 "patch": "- {op: replace, path: /rules/3/resourceNames, value: [headroom-state-NAME]}"}
        self.assertIn(other["patch"], (DEPLOY / "kustomize/base/kustomization.yaml").read_text(), "it is not what the comment says")
        items = overlaid("base", components=["zones"], patches=[other])
        self.check_all(items)
        self.assertIn(["headroom-state-NAME"], [rule.get("resourceNames") for rule in every_rule(items)])


def resources_of(rules):
    return {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


# What an operator may do beside the rights of a controller of one cluster; that it needs each is found by test-peers.
OPERATOR_RIGHTS = {("list", "storageclusters"), ("watch", "storageclusters"), ("update", "storageclusters/status"),
                   ("create", "events"), ("patch", "events")}


class OperatorTest(unittest.TestCase, Checks):
    def arguments(self, items):
        (_, pod), = pods(of_kind(items, "StatefulSet"))
        return pod["containers"][0]["args"]

    def check_operates(self, items):
        """It takes its policies from objects, and keeps the state of clusters whose names nobody knows before."""
        self.assertIn("--operator", self.arguments(items))
        self.assertEqual([argument for argument in self.arguments(items) if argument.startswith("--config")], [])
        self.assertEqual(of_kind(items, "ConfigMap"), [])
        (_, pod), = pods(of_kind(items, "StatefulSet"))
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        self.assertNotIn("policy", volumes | mounts)
        self.assertLessEqual(mounts, volumes | {"state"})
        state = [rule for rule in every_rule(items) if "configmaps" in rule["resources"]]
        self.assertEqual(resources_of(state), {(verb, "configmaps") for verb in ("create", "get", "update")})
        self.assertEqual([rule for rule in state if "resourceNames" in rule], [])

    def test_the_overlay_is_the_base_and_what_an_operator_needs(self):
        items = overlaid("crd", "operator", components=["zones"])
        self.check_all(items)
        self.check_operates(items)
        base = resources_of(every_rule(overlaid("base", components=["zones"])))
        self.assertEqual(resources_of(every_rule(items)) - base, OPERATOR_RIGHTS)
        self.assertEqual(base - resources_of(every_rule(items)), set())

    def test_every_namespace_takes_a_cluster_role_for_all_but_the_election(self):
        items = overlaid("crd", "operator", components=["zones", "all-namespaces"])
        self.check_all(items, beyond=("headroom", "headroom-operator"))
        self.check_operates(items)
        self.assertIn("--namespaces=*", self.arguments(items))
        self.assertEqual([role["metadata"]["name"] for role in of_kind(items, "Role")], ["headroom-election"])
        self.assertIn({"namespaceSelector": {}}, only(items, "NetworkPolicy")["spec"]["ingress"][0]["from"])
        everywhere = resources_of(rule for role in of_kind(items, "ClusterRole") for rule in role["rules"])
        self.assertEqual({resource for _, resource in everywhere} & {"configmaps", "leases"}, set())

    def test_the_chart_does_the_same(self):
        for values, components, beyond in (((), ["zones"], ()),
                                           (("operator.allNamespaces=true",), ["zones", "all-namespaces"], ("headroom-headroom",))):
            with self.subTest(values=values):
                chart = rendered("operator.enabled=true", *values)
                base = overlaid("crd", "operator", components=components)
                self.check_all(chart, beyond)
                self.check_operates(chart)
                self.assertEqual(*(sorted(json.dumps(rule, sort_keys=True) for rule in every_rule(items)) for items in (chart, base)))
                self.assertEqual(self.arguments(chart), self.arguments(base))
                self.assertEqual(only(chart, "NetworkPolicy")["spec"]["ingress"][0]["from"],
                                 only(base, "NetworkPolicy")["spec"]["ingress"][0]["from"])

    def test_the_chart_takes_more_namespaces_and_needs_no_volume(self):
        items = rendered("operator.enabled=true", "workloadNamespaces={storage,more}", "persistence.enabled=true")
        self.check_all(items)
        self.check_operates(items)
        self.assertIn("--namespaces=headroom,storage,more", self.arguments(items))
        watched = {role["metadata"].get("namespace") for role in of_kind(items, "Role")
                   if "storageclusters" in {name for rule in role["rules"] for name in rule["resources"]}}
        self.assertEqual(watched, {"headroom", "storage", "more"})

    def test_the_chart_asks_no_status_of_no_cluster(self):
        self.assertEqual(of_kind(rendered("operator.enabled=true"), "Pod"), [])

    def test_without_it_nothing_of_it_is_there(self):
        for items in (rendered(), objects((DEPLOY / "install.yaml").read_text())):
            self.assertEqual(resources_of(every_rule(items)) & OPERATOR_RIGHTS, set())
            self.assertNotIn("--operator", self.arguments(items))
        self.assertEqual(*(sorted(map(str, rendered(*values))) for values in ((), ("operator.allNamespaces=true",))))


class ChartTest(unittest.TestCase, Checks):
    def test_helm_finds_no_fault(self):
        found = helm("lint", "--strict", CHART)
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)

    def test_it_asks_for_little_however_it_is_set(self):
        for values in ((), ("tls.secretName=certificates",), ("replicas=1", "persistence.enabled=true", "rbac.zones=false"),
                       ("serviceMonitor.enabled=true", "workloadNamespaces={storage,more}")):
            with self.subTest(values=values):
                self.check_all(rendered(*values))

    def test_it_is_the_base_with_values(self):
        """Both ways to install give the same pods and the same rights."""
        chart, base = rendered(), objects((DEPLOY / "install.yaml").read_text())
        self.assertEqual(*(sorted(json.dumps(rule, sort_keys=True) for rule in every_rule(items)) for items in (chart, base)))
        ours, theirs = (dict(pods(of_kind(items, "StatefulSet"))) for items in (chart, base))
        for pod in (*ours.values(), *theirs.values()):
            del pod["topologySpreadConstraints"]  # their labels have the release's name
        self.assertEqual(ours, theirs)
        for kind in ("StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"):
            one, other = only(chart, kind), only(base, kind)
            self.assertEqual(one["metadata"]["name"], other["metadata"]["name"])
        self.assertEqual(only(chart, "CustomResourceDefinition"), only(base, "CustomResourceDefinition"))

    def test_its_policy_is_good(self):
        policy = only(rendered(), "ConfigMap")["data"]["policy.yaml"]
        checked = run(PROGRAMS / "headroomctl", "policy", "check", "/dev/stdin", input=policy)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_crd_is_kept_when_the_release_goes(self):
        crd = only(rendered(), "CustomResourceDefinition")
        self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        self.assertEqual(of_kind(rendered("crds.install=false"), "CustomResourceDefinition"), [])

    def test_one_copy_keeps_its_state_where_several_do(self):
        """With the election: it outlives the pod, and the copies that there were before."""
        def arguments(*values):
            (_, pod), = pods(of_kind(rendered(*values), "StatefulSet"))
            return pod["containers"][0]["args"]
        self.assertIn("--election=kubernetes", arguments())
        self.assertEqual(arguments("replicas=1"), arguments())

    def test_plaintext_is_never_silent(self):
        (_, pod), = pods(of_kind(rendered(), "StatefulSet"))
        self.assertIn("--insecure", pod["containers"][0]["args"])
        (_, pod), = pods(of_kind(rendered("tls.secretName=certificates"), "StatefulSet"))
        self.assertNotIn("--insecure", pod["containers"][0]["args"])
        self.assertIn("--tls-ca=/etc/headroom-tls/ca.crt", pod["containers"][0]["args"])

    def test_under_tls_only_an_operator_asks_for_the_status(self):
        self.assertEqual(len(of_kind(rendered(), "Pod")), 1)
        self.assertEqual(of_kind(rendered("tls.secretName=certificates"), "Pod"), [])
        pod = only(rendered("tls.secretName=certificates", "tls.operatorSecretName=ann"), "Pod")
        self.assertEqual(pod["spec"]["volumes"][0]["secret"]["secretName"], "ann")

    def test_another_namespace_gets_a_role_of_its_own(self):
        roles = [item for item in of_kind(rendered("workloadNamespaces={storage}"), "Role") if item["metadata"].get("namespace") == "storage"]
        self.assertEqual(len(roles), 1)
        self.assertNotIn("configmaps", [name for rule in roles[0]["rules"] for name in rule["resources"]])

    def test_the_nodes_of_another_namespace_may_report(self):
        def who_reports(*values):
            return only(rendered(*values), "NetworkPolicy")["spec"]["ingress"][0]["from"]
        more = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "storage"}}}
        self.assertEqual(who_reports("workloadNamespaces={storage}"), who_reports() + [more])

    def test_another_kind_of_workload_gets_its_rule(self):
        rules = every_rule(rendered("rbac.workloadKinds[0].group=ceph.rook.io", "rbac.workloadKinds[0].resource=cephobjectstores"))
        self.assertIn({"apiGroups": ["ceph.rook.io"], "resources": ["cephobjectstores/scale"], "verbs": ["get", "update"]}, rules)

    def test_no_monitor_unless_asked(self):
        self.assertEqual(of_kind(rendered(), "ServiceMonitor"), [])
        self.assertEqual(len(of_kind(rendered("serviceMonitor.enabled=true"), "ServiceMonitor")), 1)

    def test_a_wrong_value_is_refused(self):
        for value, word in (("replicas=0", "replicas"), ("imagee.tag=x", "imagee"), ("policy.mode=now", "mode")):
            found = helm("template", "headroom", CHART, "--set", value)
            self.assertNotEqual(found.returncode, 0, value)
            self.assertIn(word, found.stderr)

    def test_the_schema_knows_every_value(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(schema["properties"]) - {"global"}, set(values))
        for name, part in values.items():
            known = schema["properties"][name]
            if known.get("additionalProperties") is False:
                self.assertEqual(set(known["properties"]), set(part), name)


class ExamplesTest(unittest.TestCase, Checks):
    def test_the_file_service_is_restricted_and_its_programs_take_its_options(self):
        items = objects((DEPLOY / "examples/kubernetes/files.yaml").read_text())
        self.check_pods_are_restricted(items)
        self.check_options_exist(items)

    def test_the_policy_meets_the_file_service(self):
        items = objects((DEPLOY / "examples/kubernetes/files.yaml").read_text())
        policy = yaml.safe_load((DEPLOY / "examples/kubernetes/statefulset.yaml").read_text())
        kind, name = policy["spec"]["provider"]["kubernetes"]["workload"].split("/")
        self.assertIn(name, [item["metadata"]["name"] for item in items if item["kind"].lower() == kind])

    def test_examples_fit_the_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("NOT TESTED: python3-jsonschema is missing, so examples were not held against the CRD")
        crd = yaml.safe_load((DEPLOY / "kustomize/crd/storageclusters.yaml").read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        count = 0
        for path in (DEPLOY / "examples/kubernetes").glob("*.yaml"):
            for item in objects(path.read_text()):
                if item["kind"] == "StorageCluster":
                    jsonschema.validate(item, schema)
                    self.assert_known(item["spec"], schema["properties"]["spec"], path.name)
                    count += 1
        self.assertGreaterEqual(count, 2)

    def assert_known(self, value, schema, path):
        if isinstance(value, dict):
            for name, part in value.items():
                self.assertIn(name, schema["properties"], path)
                self.assert_known(part, schema["properties"][name], f"{path}.{name}")


class StyleTest(unittest.TestCase):
    def test_yamllint_finds_no_fault(self):
        found = program("yamllint")
        if not found:
            self.skipTest("NOT TESTED: yamllint is missing, so YAML was not linted")
        told = run(found, "--strict", "-c", ".yamllint", "deploy", cwd=ROOT)
        self.assertEqual(told.returncode, 0, told.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)  # says what was skipped and why
