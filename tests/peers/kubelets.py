"""A stand-in for scheduler and kubelets: pods get a machine, run a program on loopback if the test has one for them, become ready,
and go once their program has ended, within their grace."""

import http.client
import threading
import time

from kube import KubeError

MACHINES = 3
ZONE = "topology.kubernetes.io/zone"
UNREADY = "peers.headroom.dev/unready"  # annotation of a pod that does not become ready
TROUBLE = (KubeError, OSError, http.client.HTTPException, ValueError)  # of a server that is late or ends


def machine(number):
    return f"worker-{number}"


class Kubelets:
    """`run(pod)` starts the pod's program and returns the process, or None; `is_ready(pod, process)` tells whether it serves;
    `on_leave(pod, process)` is told once that a pod is to go, before its program hears of it. All by the name of the pod.
    `namespace` None: of all. A pod with the annotation UNREADY stays unready."""

    def __init__(self, kube, namespace, run=None, is_ready=None, on_leave=None):
        self.kube, self.place = kube, f"namespaces/{namespace}/" if namespace else ""
        self.run = run or (lambda pod: None)
        self.is_ready = is_ready or (lambda pod, process: True)
        self.on_leave = on_leave or (lambda pod, process: None)
        self.ended = threading.Event()
        self.programs, self.names, self.leaving_since, self.placed = {}, {}, {}, 0  # all by the pods' uids
        self.trouble = []
        self.thread = threading.Thread(target=self.keep_going, daemon=True)

    def start(self):
        for number in range(MACHINES):
            if self.kube.find(f"/api/v1/nodes/{machine(number)}") is None:
                self.kube.create("/api/v1/nodes", {"metadata": {"name": machine(number), "labels": {ZONE: f"zone-{number}"}}})
        self.thread.start()
        return self

    def stop(self):
        self.ended.set()
        self.thread.join(30)
        for process in self.programs.values():
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def running(self):
        """(pod, process) of each pod that has been started and is not gone."""
        return [(self.names[key], process) for key, process in list(self.programs.items())]

    def keep_going(self):
        while not self.ended.wait(0.1):
            try:
                pods = self.kube.get(f"/api/v1/{self.place}pods")["items"]
            except TROUBLE as error:
                self.trouble.append(str(error))
                time.sleep(0.5)
                continue
            for pod in pods:
                try:
                    self.look_after(pod)
                except TROUBLE as error:  # the others go on
                    self.trouble.append(f"{pod['metadata']['name']}: {error}")

    def look_after(self, pod):
        meta, status = pod["metadata"], pod.get("status", {})
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        key = meta["uid"]
        try:
            if "deletionTimestamp" in meta:
                self.let_go(key, path, pod)
            elif not pod["spec"].get("nodeName"):
                self.bind(path, meta["name"])
            elif key not in self.programs:
                self.programs[key], self.names[key] = self.run(meta["name"]), meta["name"]
                self.tell(path, pod, ready=self.serves(key, meta))
            else:
                wanted = self.serves(key, meta)
                if wanted != (condition(status, "Ready") == "True"):
                    self.tell(path, pod, ready=wanted)
        except KubeError as error:
            if error.code not in (404, 409):
                raise

    def serves(self, key, meta):
        return UNREADY not in meta.get("annotations", {}) and self.is_ready(meta["name"], self.programs[key])

    def bind(self, path, name):
        self.placed += 1
        self.kube.create(f"{path}/binding", {"metadata": {"name": name},
                                             "target": {"kind": "Node", "name": machine(self.placed % MACHINES)}})

    def tell(self, path, pod, ready):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = "True" if ready else "False"
        self.kube.patch(f"{path}/status", {"status": {
            "phase": "Running", "podIP": "127.0.0.1", "startTime": pod.get("status", {}).get("startTime", now),
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
                           {"type": "ContainersReady", "status": said, "lastTransitionTime": now},
                           {"type": "Ready", "status": said, "lastTransitionTime": now}],
            "containerStatuses": [{"name": container["name"], "image": container["image"], "imageID": "", "ready": ready,
                                   "restartCount": 0, "state": {"running": {"startedAt": now}}}
                                  for container in pod["spec"]["containers"]]}})

    def let_go(self, key, path, pod):
        process = self.programs.get(key)
        if key not in self.leaving_since:
            self.leaving_since[key] = time.monotonic()
            self.on_leave(pod["metadata"]["name"], process)
            if process is not None and process.poll() is None:
                process.terminate()
        late = time.monotonic() > self.leaving_since[key] + pod["metadata"].get("deletionGracePeriodSeconds", 30)
        if process is not None and process.poll() is None:
            if not late:
                return
            process.kill()
        self.kube.delete(path, grace=0)
        self.programs.pop(key, None)


def condition(status, kind):
    return next((item["status"] for item in status.get("conditions", []) if item["type"] == kind), "")
