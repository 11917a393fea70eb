"""A small Hugging Face Hub on the loopback address: what its client asks of it, in one process.

Serves repositories, resolved files (with Range), uploads of both kinds and commits. `faults` makes
it misbehave: a map from "METHOD path-pattern" to a list of what happens to the next such requests:
a status code, "forbid" (403, but not for want of accepted terms), "cut" (half of the body, then the
line drops), "flip" (a wrong byte) or "hang".
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_me"
ERRORS = {404: "RepoNotFound", 403: "GatedRepo"}


@dataclass
class Repo:
    name: str
    private: bool = False
    commits: dict = field(default_factory=dict)  # commit -> {path: content}
    branches: dict = field(default_factory=dict)  # name -> commit
    variables: dict = field(default_factory=dict)  # of a Space

    def commit(self, files: dict, branch: str = "main") -> str:
        sha = hashlib.sha1(repr((sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[sha], self.branches[branch] = dict(files), sha
        return sha

    def files(self, revision: str) -> tuple[str, dict | None]:
        sha = self.branches.get(revision, revision)
        return sha, self.commits.get(sha)


def oid(path: str, content: bytes) -> str:
    """SHA-256 for what the Hub keeps as a large file, git's name of a blob for the rest."""
    if path.endswith((".safetensors", ".onnx", ".flac", ".png")):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}  # ("models", "owner/name") -> Repo
        self.large: dict[str, bytes] = {}  # uploaded, not yet committed
        self.faults: dict[str, list] = {}
        self.requests: list[tuple[str, str | None, str | None]] = []  # what, Range, Authorization
        self.words = "Invalid username or password."  # with a 401
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.ended = threading.Event()

    def asked(self, pattern: str) -> list:
        return [request for request in self.requests if re.search(pattern, request[0])]

    def handle_error(self, request, client_address):
        pass  # a client that went away

    @contextmanager
    def running(self):
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield self
        finally:
            self.ended.set()
            self.shutdown()
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args):
        pass

    def do(self):
        path = unquote(urlsplit(self.path).path)
        what = f"{self.command} {path}"
        token = self.headers["Authorization"]
        if path != "/api/agent-harnesses":  # which the client may ask once in a process
            self.server.requests.append((what, self.headers["Range"], token))
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.fault = next(
            (todo.pop(0) for key, todo in self.server.faults.items()
             if todo and re.search(key, what)), None,
        )  # fmt: skip
        if self.fault == "hang":
            self.server.ended.wait()
            self.close_connection = True
        elif isinstance(self.fault, int):
            self.send(self.fault, code=ERRORS.get(self.fault))
        elif self.fault == "forbid":
            self.send(403)
        elif not self.anyone(path):
            if token != f"Bearer {TOKEN}":
                self.send(401)
            elif not self.owner(path):
                self.send(404, code="RepoNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = do

    def anyone(self, path: str) -> bool:
        """Answers what needs no token: a repository's state, its files, and a signed address."""
        if path.startswith("/large/") and self.command == "PUT":
            self.server.large[path.removeprefix("/large/")] = self.body
            self.send(200, {})
            return True
        if match := re.fullmatch(r"/api/(models|spaces)/(\w+/[\w.-]+)(?:/revision/(.+))?", path):
            return self.about(match[1], match[2], match[3] or "main")
        if match := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            return self.file(*match.groups())
        return False

    def about(self, kind: str, name: str, revision: str) -> bool:
        repo = self.server.repos.get((kind, name))
        sha, files = repo.files(revision) if repo else ("", None)
        token = self.headers["Authorization"]
        if token not in (None, f"Bearer {TOKEN}"):
            self.send(401, message=self.server.words)  # even where everybody may read
        elif repo is None and token:
            self.send(404, code="RepoNotFound")
        elif repo is None:
            self.send(401, message=self.server.words)  # it does not tell unknown from private
        elif files is None:
            self.send(404, code="RevisionNotFound")
        else:
            siblings = [{"rfilename": file, "size": len(files[file])} for file in files]
            self.send(200, {"id": name, "sha": sha, "private": repo.private, "siblings": siblings})
        return True

    def file(self, name: str, revision: str, path: str) -> bool:
        sha, files = self.server.repos[("models", name)].files(revision)
        if files is None or path not in files:
            self.send(404, code="EntryNotFound", headers={"X-Repo-Commit": sha})
            return True
        content = files[path]
        headers = {
            "ETag": f'"{oid(path, content)}"',
            "X-Repo-Commit": sha,
            "Accept-Ranges": "bytes",
        }
        start = int(re.match(r"bytes=(\d+)-", self.headers["Range"] or "bytes=0-")[1])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.fault == "flip":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send(206 if start else 200, content[start:], headers=headers)
        return True

    def owner(self, path: str) -> bool:
        """Answers what only the owner of the token may ask; their name is `me`."""
        if path == "/api/whoami-v2":
            self.send(200, {"type": "user", "name": "me", "orgs": []})
        elif path == "/api/validate-yaml":
            self.send(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(self.body))
        elif match := re.fullmatch(r"/api/spaces/(\w+/[\w.-]+)/variables", path):
            wanted = json.loads(self.body)
            self.server.repos[("spaces", match[1])].variables[wanted["key"]] = wanted["value"]
            self.send(200, {})
        elif match := re.fullmatch(r"/api/(models|spaces)/(\w+)/([\w.-]+)/(\w+)/(.+)", path):
            kind, owner, name, action, branch = match.groups()
            if owner != "me":
                self.send(403, code="Forbidden")
            else:
                repo = self.server.repos[(kind, f"{owner}/{name}")]
                getattr(self, action)(repo, branch)
        elif path.endswith("/objects/batch"):
            self.batch(json.loads(self.body)["objects"])
        else:
            return False
        return True

    def create(self, wanted: dict):
        name = f"{wanted['organization']}/{wanted['name']}"
        key = (f"{wanted['type']}s", name)
        if wanted["organization"] != "me":
            self.send(403, code="Forbidden")
        elif key in self.server.repos:
            self.send(409, {"url": f"{self.server.url}/{name}"})
        else:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.server.repos[key] = Repo(name, private=bool(private))
            self.server.repos[key].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
            self.send(200, {"url": f"{self.server.url}/{name}"})

    def branch(self, repo: Repo, name: str):
        known = name in repo.branches
        repo.branches.setdefault(name, repo.branches["main"])
        self.send(409 if known else 200, {})

    def preupload(self, repo: Repo, branch: str):
        _, there = repo.files(branch)
        files = []
        for file in json.loads(self.body)["files"]:
            path = file["path"]
            mode = "lfs" if len(oid(path, b"")) == 64 else "regular"
            known = {"oid": oid(path, there[path])} if path in there else {}
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False} | known)
        self.send(200, {"files": files})

    def batch(self, objects: list):
        for item in objects:
            href = f"{self.server.url}/large/{item['oid']}"
            item["actions"] = {"upload": {"href": href}}
        self.send(200, {"transfer": "basic", "objects": objects})

    def commit(self, repo: Repo, branch: str):
        files = dict(repo.files(branch)[1])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, branch)
        url = f"{self.server.url}/{repo.name}/commit/{sha}"
        self.send(200, {"success": True, "commitOid": sha, "commitUrl": url})

    def send(self, status: int, body=b"", *, code=None, message=None, headers: dict | None = None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if self.fault == "cut" else body)
        if self.fault == "cut":
            self.close_connection = True
