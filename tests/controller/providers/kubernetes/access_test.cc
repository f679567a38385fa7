#include "controller/providers/kubernetes/access.h"

#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/runtime/temp_dir.h"

namespace headroom::kubernetes {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AccessTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_.path(), "/", name);
    std::ofstream(path) << text;
    return path;
  }
  static std::string Header(const Access& access, const std::string& name) {
    const auto headers = access.headers();
    EXPECT_TRUE(headers.ok()) << headers.status();
    if (!headers.ok()) return "";
    for (const HttpHeader& header : *headers) {
      if (header.name == name) return header.value;
    }
    return "";
  }
  // A file with one context, whose cluster and user have these further lines.
  std::string Config(const std::string& cluster, const std::string& user) {
    return Write("config", absl::StrCat(R"(apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: kind, user: ada, namespace: storage}
- name: prod
  context: {cluster: far, user: ada}
clusters:
- name: kind
  cluster:
    server: https://127.0.0.1:6443
)",
                                        cluster, "users:\n- name: ada\n  user:\n", user));
  }
  std::string Refusal(const std::string& path, const std::string& context = "") {
    const auto access = ReadKubeconfig({.path = path, .context = context}, {});
    EXPECT_FALSE(access.ok());
    return std::string(access.status().message());
  }

  TempDir folder_;
};

using InClusterTest = AccessTest;
using KubeconfigTest = AccessTest;

TEST_F(InClusterTest, TheServiceAccountIsWhoCalls) {
  Write("token", "first\n");
  Write("ca.crt", "PEM");
  Write("namespace", "storage");
  const auto access =
      InCluster({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}}, folder_.path());
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->url, "https://10.96.0.1:443");
  EXPECT_EQ(access->name_space, "storage");
  EXPECT_EQ(access->tls()->authorities, "PEM");
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer first");
  Write("token", "second");
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer second") << "the kubelet has replaced it";
  std::remove(absl::StrCat(folder_.path(), "/token").c_str());
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer second") << "in the moment of replacement";
}

TEST_F(InClusterTest, AnAddressOfIpv6StandsInBrackets) {
  Write("token", "t");
  const auto access =
      InCluster({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}}, folder_.path());
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->url, "https://[fd00::1]:443");
}

TEST_F(InClusterTest, OutsideOfAPodItSaysWhatToDo) {
  const auto outside = InCluster({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}}, folder_.path());
  EXPECT_EQ(outside.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(outside.status().message()), HasSubstr("name a kubeconfig file"));
  const auto tokenless =
      InCluster({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}}, folder_.path());
  EXPECT_THAT(std::string(tokenless.status().message()), HasSubstr("/token: No such file"));
}

TEST_F(KubeconfigTest, TheCurrentContextSaysWhereAndAsWhom) {
  const std::string pem = "-----BEGIN CERTIFICATE-----";
  const std::string path =
      Config(absl::StrCat("    certificate-authority-data: ", absl::Base64Escape(pem), "\n    tls-server-name: kube\n"),
             "    token: secret\n    as: bob\n");
  const auto access = ReadKubeconfig({}, {{"KUBECONFIG", path}});
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->url, "https://127.0.0.1:6443");
  EXPECT_EQ(access->server_name, "kube");
  EXPECT_EQ(access->name_space, "storage");
  EXPECT_EQ(access->tls()->authorities, pem);
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer secret");
  EXPECT_EQ(Header(*access, "Impersonate-User"), "bob");
  EXPECT_EQ(access->described_as, absl::StrCat("context dev of ", path));
}

TEST_F(KubeconfigTest, FilesStandBesideItAndAreReadAnewAndATokenFileWins) {
  Write("ca.pem", "CA");
  Write("me.pem", "ME");
  Write("me.key", "KEY");
  Write("token", "first");
  const auto access = ReadKubeconfig(
      {.path =
           Config("    certificate-authority: ca.pem\n",
                  "    client-certificate: me.pem\n    client-key: me.key\n    token: other\n    tokenFile: token\n")},
      {});
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->tls()->key, "KEY");
  Write("me.pem", "MY NEXT");
  EXPECT_EQ(access->tls()->certificate, "MY NEXT");
  Write("token", "second");
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer second");
}

TEST_F(KubeconfigTest, AFileThatIsMissingIsNamed) {
  const auto access = ReadKubeconfig({.path = Config("    certificate-authority: gone.pem\n", "    token: t\n")}, {});
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_THAT(std::string(access->tls().status().message()), HasSubstr("gone.pem: No such file"));
}

TEST_F(KubeconfigTest, OfSeveralFilesTheFirstThatNamesAThingWins) {
  const std::string first = Write("first", "current-context: b\nusers:\n- name: ada\n  user: {token: mine}\n");
  const std::string second = Write("second", R"(current-context: a
contexts: [{name: b, context: {cluster: c, user: ada}}]
clusters: [{name: c, cluster: {server: "https://c"}}]
users: [{name: ada, user: {token: theirs}}]
)");
  const auto access = ReadKubeconfig({}, {{"KUBECONFIG", absl::StrCat(first, ":/no/such/file:", second)}});
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(Header(*access, "Authorization"), "Bearer mine");
  EXPECT_EQ(access->name_space, "default");
}

TEST_F(KubeconfigTest, WhatIsMissingIsSaidWithTheFileAndItsNeighbours) {
  const std::string path = Config("", "    token: t\n");
  EXPECT_THAT(Refusal(path, "dve"), HasSubstr("has no context \"dve\"; did you mean dev?; it has dev, prod"));
  EXPECT_THAT(Refusal(path, "prod"), HasSubstr("has no cluster \"far\""));
  EXPECT_THAT(Refusal(Write("empty", "kind: Config\n")), HasSubstr("has no current-context; name one"));
  EXPECT_THAT(Refusal(Write("broken", "a: [\n")), HasSubstr("broken:2: "));
  EXPECT_THAT(Refusal(Write("list", "- a\n")), HasSubstr("this is no kubeconfig"));
  EXPECT_THAT(Refusal(Write("map", "current-context: a\ncontexts: {a: {cluster: b}}\n")),
              HasSubstr("map: contexts must be a list"));
  EXPECT_THAT(Refusal(Write("text", "current-context: a\ncontexts: none\n")), HasSubstr("contexts must be a list"));
  EXPECT_EQ(ReadKubeconfig({.path = "/no/such/file"}, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ReadKubeconfig({}, {{"HOME", "/nowhere"}}).status().message()),
              HasSubstr("/nowhere/.kube/config"));
}

TEST_F(KubeconfigTest, WhatCannotBeDoneIsRefusedWithAWayOut) {
  EXPECT_THAT(Refusal(Config("    insecure-skip-tls-verify: true\n", "    token: t\n")),
              HasSubstr("cluster \"kind\": insecure-skip-tls-verify is refused; give certificate-authority"));
  EXPECT_THAT(Refusal(Config("", "    exec: {command: aws}\n")), HasSubstr("use a service account's token"));
  EXPECT_THAT(Refusal(Config("", "    auth-provider: {name: gcp}\n")), HasSubstr("auth-provider"));
  EXPECT_THAT(Refusal(Config("", "    client-certificate-data: UEVN\n")), HasSubstr("belong together"));
  EXPECT_THAT(Refusal(Config("    certificate-authority-data: \"%%\"\n", "    token: t\n")), HasSubstr("no base64"));
  EXPECT_THAT(Refusal(Config("    proxy-url: http://p\n", "    token: t\n")), HasSubstr("proxy-url is not supported"));
}

}  // namespace
}  // namespace headroom::kubernetes
