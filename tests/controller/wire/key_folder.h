#pragma once

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/wire/credentials.h"
#include "tests/controller/providers/http/certificates.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {

// The files of one program, in a folder of its own, replaced as a rotation does it: each by a rename.
class KeyFolder {
 public:
  KeyFolder(const Authority& authority, const std::vector<std::string>& names)
      : KeyFolder(authority, names, authority) {}
  KeyFolder(const Authority& authority, const std::vector<std::string>& names, const Authority& trusted) {
    Put(authority.Issue(names));
    Replace(files_.authorities, trusted.pem());
  }
  void Put(const Issued& issued) {
    Replace(files_.certificate, issued.certificate);
    Replace(files_.key, issued.key);
  }
  static void Replace(const std::string& path, const std::string& text) {
    { std::ofstream(path + ".new", std::ios::binary) << text; }
    HR_CHECK(std::rename((path + ".new").c_str(), path.c_str()) == 0);
  }
  const TlsFiles& files() const { return files_; }
  // Looks only when it is told to.
  std::unique_ptr<WireCredentials> Open() const {
    absl::StatusOr<std::unique_ptr<WireCredentials>> opened =
        WireCredentials::Open(files_, WireCredentials::Watch::kNever, nullptr);
    HR_CHECK(opened.ok());
    return *std::move(opened);
  }

 private:
  const TempDir folder_;
  const TlsFiles files_{absl::StrCat(folder_.path(), "/cert.pem"), absl::StrCat(folder_.path(), "/key.pem"),
                        absl::StrCat(folder_.path(), "/ca.pem")};
};

}  // namespace headroom
