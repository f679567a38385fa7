"""As much of a Kubernetes client as the tests need."""

import http.client
import json
import ssl
import threading


class KubeError(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Kube:
    """One user at one API server. Each thread has a connection of its own."""

    def __init__(self, port, authority, token):
        self.port, self.token = port, token
        self.tls = ssl.create_default_context(cafile=str(authority))
        self.local = threading.local()

    def connect(self, timeout=30):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)

    def headers(self, content_type, accept="application/json"):
        return {"Authorization": f"Bearer {self.token}", "Content-Type": content_type, "Accept": accept}

    def call(self, method, path, body=None, content_type="application/json", raw=None, accept="application/json"):
        text = raw if body is None else json.dumps(body)
        for is_last in (False, True):
            connection = getattr(self.local, "connection", None) or self.connect()
            self.local.connection = connection
            try:
                connection.request(method, path, body=text, headers=self.headers(content_type, accept))
                answer = connection.getresponse()
                data = answer.read()
                break
            except (http.client.HTTPException, OSError):
                connection.close()
                self.local.connection = None
                if is_last:
                    raise
        told = json.loads(data) if data[:1] == b"{" else data.decode(errors="replace")
        if answer.status >= 300:
            raise KubeError(answer.status, told.get("message", "") if isinstance(told, dict) else told)
        return told

    def get(self, path):
        return self.call("GET", path)

    def find(self, path):
        """None where there is no such thing."""
        try:
            return self.get(path)
        except KubeError as error:
            if error.code == 404:
                return None
            raise

    def create(self, path, body):
        return self.call("POST", path, body)

    def patch(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, grace=None):
        return self.call("DELETE", path, None if grace is None else {"gracePeriodSeconds": grace})

    def watch(self, path, revision, seconds=300):
        """The events from `revision` on, until the server ends it."""
        connection = self.connect(timeout=seconds + 30)
        try:
            mark = "&" if "?" in path else "?"
            connection.request("GET", f"{path}{mark}watch=1&resourceVersion={revision}&timeoutSeconds={seconds}",
                               headers=self.headers("application/json"))
            answer = connection.getresponse()
            if answer.status != 200:
                raise KubeError(answer.status, answer.read().decode(errors="replace"))
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()
