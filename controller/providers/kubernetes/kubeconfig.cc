#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <yaml-cpp/yaml.h>

#include "controller/base/near_match.h"
#include "controller/base/status.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/secret_file.h"
#include "controller/runtime/yaml_message.h"

namespace headroom::kubernetes {
namespace {

namespace fs = std::filesystem;

// A text of the file, or a file that it names: read again whenever it is asked for.
using Source = std::function<absl::StatusOr<std::string>()>;

// yaml-cpp throws where one asks of which kind a missing field is.
YAML::Node Field(const YAML::Node& node, const char* name) {
  return node.IsMap() && node[name].IsDefined() ? node[name] : YAML::Node();
}

std::string TextOf(const YAML::Node& node, const char* name) {
  const YAML::Node field = Field(node, name);
  return field.IsScalar() ? field.Scalar() : "";
}

// A group of fields, as a cluster or a user; a scalar that is missing is "".
class Group {
 public:
  Group(YAML::Node node, fs::path folder, std::string name)
      : node_(std::move(node)), folder_(std::move(folder)), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  bool Has(const char* field) const { return !Field(node_, field).IsNull(); }
  std::string Text(const char* field) const { return TextOf(node_, field); }
  bool IsTrue(const char* field) const { return Text(field) == "true"; }
  absl::Status Wrong(absl::string_view what) const {
    return absl::FailedPreconditionError(absl::StrCat(name_, ": ", what));
  }
  // A path of the file is one beside the file.
  std::string Path(const char* field) const { return (folder_ / Text(field)).string(); }

  // `field`-data in base64, else the file that `field` names; null where there is neither.
  absl::StatusOr<Source> Pem(const std::string& field) const {
    const std::string data = Text(absl::StrCat(field, "-data").c_str());
    if (data.empty()) return Text(field.c_str()).empty() ? Source() : File(Path(field.c_str()));
    std::string pem;
    if (!absl::Base64Unescape(data, &pem)) return Wrong(absl::StrCat(field, "-data is no base64"));
    return Source([pem] { return pem; });
  }
  static Source File(const std::string& path) {
    return [file = std::make_shared<SecretFile>(path)] { return file->Read(); };
  }

 private:
  YAML::Node node_;
  fs::path folder_;
  std::string name_;
};

// Some files as one: of what several name, the first counts.
class Kubeconfig {
 public:
  static absl::StatusOr<Kubeconfig> Read(const std::vector<std::string>& paths) {
    Kubeconfig config;
    for (const std::string& path : paths) {
      absl::StatusOr<std::string> text = ReadYamlFile(path, "kubeconfig");
      if (absl::IsNotFound(text.status()) && paths.size() > 1) continue;  // as kubectl does
      HR_RETURN_IF_ERROR(text.status());
      HR_RETURN_IF_ERROR(config.Add(path, *text));
    }
    if (config.files_.empty()) return absl::NotFoundError(absl::StrCat("there is no ", absl::StrJoin(paths, " nor ")));
    return config;
  }

  std::string CurrentContext() const {
    for (const auto& [path, root] : files_) {
      if (std::string name = TextOf(root, "current-context"); !name.empty()) return name;
    }
    return "";
  }

  // The entry called `name` of `list`, whose fields stand in its `kind`.
  absl::StatusOr<Group> Find(const char* list, const char* kind, const std::string& name) const {
    std::vector<std::string> known;
    for (const auto& [path, root] : files_) {
      const YAML::Node entries = Field(root, list);
      // yaml-cpp throws where one asks for a field of an entry of a map.
      if (!entries.IsNull() && !entries.IsSequence())
        return absl::FailedPreconditionError(absl::StrCat(path, ": ", list, " must be a list"));
      for (const YAML::Node& entry : entries) {
        known.push_back(TextOf(entry, "name"));
        if (known.back() == name)
          return Group(Field(entry, kind), fs::path(path).parent_path(), Called(path, kind, name));
      }
    }
    return absl::FailedPreconditionError(absl::StrCat(described(), " has no ", kind, " \"", name, "\"",
                                                      DidYouMean(NearMatches(name, known)),
                                                      known.empty() ? "" : "; it has ", absl::StrJoin(known, ", ")));
  }

  std::string described() const {
    return absl::StrJoin(files_, ":", [](std::string* out, const auto& file) { out->append(file.first); });
  }

 private:
  static std::string Called(const std::string& path, const char* kind, const std::string& name) {
    return absl::StrCat(path, ": ", kind, " \"", name, "\"");
  }

  absl::Status Add(const std::string& path, const std::string& text) {
    try {
      const YAML::Node root = YAML::Load(text);
      if (!root.IsMap()) return absl::FailedPreconditionError(absl::StrCat(path, ": this is no kubeconfig"));
      files_.emplace_back(path, root);
    } catch (const YAML::Exception& error) {
      return absl::FailedPreconditionError(absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
    }
    return absl::OkStatus();
  }

  std::vector<std::pair<std::string, YAML::Node>> files_;
};

std::vector<std::string> Paths(const KubeconfigChoice& choice, const Environment& environment) {
  if (!choice.path.empty()) return {choice.path};
  if (const auto list = environment.find("KUBECONFIG"); list != environment.end() && !list->second.empty())
    return absl::StrSplit(list->second, ':', absl::SkipEmpty());
  const auto home = environment.find("HOME");
  return {absl::StrCat(home == environment.end() ? "" : home->second, "/.kube/config")};
}

// What asks for more than there is here, in words that say what to do.
absl::Status CheckSupported(const Group& cluster, const Group& user) {
  if (cluster.Text("server").empty()) return cluster.Wrong("it has no server");
  if (cluster.IsTrue("insecure-skip-tls-verify"))
    return cluster.Wrong("insecure-skip-tls-verify is refused; give certificate-authority instead");
  if (cluster.Has("proxy-url")) return cluster.Wrong("proxy-url is not supported");
  if (user.Has("auth-provider"))
    return user.Wrong("auth-provider is no more supported by Kubernetes either; use a token or a client certificate");
  if (user.Has("exec"))
    return user.Wrong(
        "it asks a program for its credentials (exec), which a daemon does not run; use a service account's token");
  return absl::OkStatus();
}

absl::StatusOr<std::string> Given(const Source& source) {
  return source == nullptr ? "" : source();
}

absl::StatusOr<std::function<absl::StatusOr<TlsMaterial>()>> TlsOf(const Group& cluster, const Group& user) {
  HR_ASSIGN_OR_RETURN(const Source authority, cluster.Pem("certificate-authority"));
  HR_ASSIGN_OR_RETURN(const Source certificate, user.Pem("client-certificate"));
  HR_ASSIGN_OR_RETURN(const Source key, user.Pem("client-key"));
  if ((certificate == nullptr) != (key == nullptr))
    return user.Wrong("client-certificate and client-key belong together; one is missing");
  return [=]() -> absl::StatusOr<TlsMaterial> {
    TlsMaterial material;
    HR_ASSIGN_OR_RETURN(material.authorities, Given(authority));
    HR_ASSIGN_OR_RETURN(material.certificate, Given(certificate));
    HR_ASSIGN_OR_RETURN(material.key, Given(key));
    return material;
  };
}

// Impersonation; its list of groups and its extra fields are not read by any tool that writes kubeconfig files.
std::vector<HttpHeader> FixedHeaders(const Group& user) {
  std::vector<HttpHeader> headers;
  if (const std::string name = user.Text("username"); !name.empty())
    headers.push_back(
        {"Authorization", absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(name, ":", user.Text("password"))))});
  if (const std::string as = user.Text("as"); !as.empty()) headers.push_back({"Impersonate-User", as});
  if (const std::string uid = user.Text("as-uid"); !uid.empty()) headers.push_back({"Impersonate-Uid", uid});
  return headers;
}

std::function<absl::StatusOr<std::vector<HttpHeader>>()> HeadersOf(const Group& user) {
  Source token;
  if (const std::string text = user.Text("token"); !text.empty()) token = [text] { return text; };
  if (!user.Text("tokenFile").empty()) token = Group::File(user.Path("tokenFile"));  // it wins
  return [token, fixed = FixedHeaders(user)]() -> absl::StatusOr<std::vector<HttpHeader>> {
    std::vector<HttpHeader> headers = fixed;
    HR_ASSIGN_OR_RETURN(const std::string text, Given(token));
    if (!text.empty()) headers.push_back({"Authorization", absl::StrCat("Bearer ", text)});
    return headers;
  };
}

}  // namespace

absl::StatusOr<Access> ReadKubeconfig(const KubeconfigChoice& choice, const Environment& environment) {
  HR_ASSIGN_OR_RETURN(const Kubeconfig config, Kubeconfig::Read(Paths(choice, environment)));
  const std::string name = choice.context.empty() ? config.CurrentContext() : choice.context;
  if (name.empty())
    return absl::FailedPreconditionError(absl::StrCat(config.described(), " has no current-context; name one"));
  HR_ASSIGN_OR_RETURN(const Group context, config.Find("contexts", "context", name));
  HR_ASSIGN_OR_RETURN(const Group cluster, config.Find("clusters", "cluster", context.Text("cluster")));
  HR_ASSIGN_OR_RETURN(const Group user, config.Find("users", "user", context.Text("user")));
  HR_RETURN_IF_ERROR(CheckSupported(cluster, user));
  const std::string name_space = context.Text("namespace");
  Access access{.url = cluster.Text("server"),
                .server_name = cluster.Text("tls-server-name"),
                .name_space = name_space.empty() ? "default" : name_space,
                .headers = HeadersOf(user),
                .described_as = absl::StrCat("context ", name, " of ", config.described())};
  HR_ASSIGN_OR_RETURN(access.tls, TlsOf(cluster, user));
  return access;
}

absl::StatusOr<Access> FindAccess(const KubeconfigChoice& choice, const Environment& environment) {
  const bool named = !choice.path.empty() || !choice.context.empty();
  if (!named && environment.contains("KUBERNETES_SERVICE_HOST")) return InCluster(environment);
  return ReadKubeconfig(choice, environment);
}

}  // namespace headroom::kubernetes
