#include "controller/wire/credentials.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/wire/key_folder.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CredentialsTest : public ::testing::Test {
 protected:
  std::unique_ptr<WireCredentials> Open() {
    absl::StatusOr<std::unique_ptr<WireCredentials>> opened =
        WireCredentials::Open(keys_.files(), WireCredentials::Watch::kNever,
                              [this](const absl::Status&, absl::string_view text) { said_.emplace_back(text); });
    HR_CHECK(opened.ok());
    return *std::move(opened);
  }
  std::string Fault() const { return std::string(ReadTlsFiles(keys_.files()).status().message()); }

  const Authority authority_{"the authority"};
  KeyFolder keys_{authority_, {"DNS:localhost"}};
  std::vector<std::string> said_;
};

// A certificate that a week's warning is not due for.
Issued Lasting(const Authority& authority) {
  return authority.Issue({"DNS:localhost"}, absl::Hours(24 * 30));
}

TEST_F(CredentialsTest, EachFileThatIsNotWhatItShouldBeIsNamed) {
  EXPECT_TRUE(ReadTlsFiles(keys_.files()).ok());
  TlsFiles files = keys_.files();
  files.key.clear();
  EXPECT_THAT(ReadTlsFiles(files).status().message(), HasSubstr("--tls-key is missing"));
  files.key = "/nowhere/key.pem";
  EXPECT_THAT(ReadTlsFiles(files).status().message(), HasSubstr("cannot read /nowhere/key.pem"));
  files.key = std::filesystem::path(keys_.files().key).parent_path().string();
  EXPECT_EQ(ReadTlsFiles(files).status().message(), "--tls-key: cannot read " + files.key + ": Is a directory");
  const Issued good = authority_.Issue({"DNS:localhost"});
  KeyFolder::Replace(keys_.files().key, good.key);
  EXPECT_THAT(Fault(), HasSubstr("is not the key of the certificate"));
  KeyFolder::Replace(keys_.files().certificate, good.certificate);
  EXPECT_EQ(Fault(), "");
  KeyFolder::Replace(keys_.files().key, good.key.substr(0, good.key.size() / 2));
  EXPECT_THAT(Fault(), HasSubstr("holds no whole private key"));
  keys_.Put(good);
  KeyFolder::Replace(keys_.files().certificate, good.certificate.substr(0, good.certificate.size() / 2));
  EXPECT_THAT(Fault(), HasSubstr("holds no whole certificate"));
  keys_.Put(good);
  KeyFolder::Replace(keys_.files().authorities, authority_.pem() + authority_.pem().substr(0, 100));
  EXPECT_THAT(Fault(), HasSubstr("--tls-ca")) << "its second half is not there yet";
}

TEST_F(CredentialsTest, NewFilesAreInForceAtTheNextLook) {
  keys_.Put(Lasting(authority_));
  const auto credentials = Open();
  EXPECT_THAT(said_, IsEmpty());
  const Issued next = Lasting(authority_);
  keys_.Put(next);
  credentials->Look();
  EXPECT_EQ(credentials->Material()->certificate, next.certificate);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("new files of TLS are in force")));
  credentials->Look();
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(CredentialsTest, FilesThatDoNotFitLeaveTheOldOnesInForceAndAreToldOfOnce) {
  keys_.Put(Lasting(authority_));
  const auto credentials = Open();
  const std::shared_ptr<const KeyMaterial> before = credentials->Material();
  const Issued next = Lasting(authority_);
  KeyFolder::Replace(keys_.files().certificate, next.certificate);
  credentials->Look();
  EXPECT_THAT(said_, IsEmpty()) << "the key may be on its way";
  for (int i = 0; i < 5; ++i) credentials->Look();
  EXPECT_THAT(said_, ElementsAre(HasSubstr("the old ones stay in force")));
  EXPECT_EQ(credentials->Material(), before);
  KeyFolder::Replace(keys_.files().key, next.key);
  credentials->Look();
  EXPECT_EQ(credentials->Material()->key, next.key);
}

TEST_F(CredentialsTest, ACertificateThatIsAboutToExpireIsToldOfOnce) {
  const auto credentials = Open();
  for (int i = 0; i < 3; ++i) credentials->Look();
  EXPECT_THAT(said_, ElementsAre(HasSubstr("expires at")));
}

TEST_F(CredentialsTest, AnExpiredCertificateIsTakenAndToldOf) {
  keys_.Put(authority_.Issue({"DNS:localhost"}, -absl::Hours(1)));
  const auto credentials = Open();
  EXPECT_THAT(said_, ElementsAre(HasSubstr("has expired at")));
}

TEST_F(CredentialsTest, TheWatchFindsNewFilesByItself) {
  auto opened = WireCredentials::Open(keys_.files(), WireCredentials::Watch::kEverySecond, nullptr);
  ASSERT_TRUE(opened.ok());
  const Issued next = Lasting(authority_);
  keys_.Put(next);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while ((*opened)->Material()->certificate != next.certificate && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ((*opened)->Material()->certificate, next.certificate);
}

}  // namespace
}  // namespace headroom
