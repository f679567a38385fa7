#include "controller/server/election/kubernetes_state.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"

namespace headroom {
namespace {

using kubernetes::Json;
using kubernetes::Text;

constexpr char kKey[] = "state";

}  // namespace

KubernetesState::KubernetesState(kubernetes::Api& api, const std::string& name_space, const std::string& cluster)
    : api_(api),
      name_space_(name_space),
      name_(absl::StrCat("headroom-state-", cluster)),
      collection_(absl::StrCat("/api/v1/namespaces/", name_space, "/configmaps")) {}

std::string KubernetesState::name() const {
  return absl::StrCat("ConfigMap ", name_space_, "/", name_);
}

absl::StatusOr<std::string> KubernetesState::Load(absl::Duration timeout) {
  last_ = nullptr;
  HR_ASSIGN_OR_RETURN(last_, api_.Call({.path = absl::StrCat(collection_, "/", name_), .timeout = timeout}));
  const std::string text = Text(last_, {"binaryData", kKey});
  if (text.empty()) return absl::NotFoundError("nothing is saved there");
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) return absl::DataLossError("the saved state is no base64");
  return bytes;
}

absl::Status KubernetesState::Save(absl::string_view bytes, absl::Duration timeout) {
  const bool is_new = last_.is_null();
  Json object = is_new ? Json{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name_}}}} : last_;
  object["binaryData"][kKey] = absl::Base64Escape(bytes);
  absl::StatusOr<Json> written = api_.Call({.method = is_new ? "POST" : "PUT",
                                            .path = is_new ? collection_ : absl::StrCat(collection_, "/", name_),
                                            .body = std::move(object),
                                            .timeout = timeout});
  // It was made, or deleted, by somebody else meanwhile.
  if (absl::IsAlreadyExists(written.status()) || absl::IsNotFound(written.status()))
    return absl::AbortedError(written.status().message());
  HR_RETURN_IF_ERROR(written.status());
  last_ = *std::move(written);
  last_["binaryData"].erase(kKey);
  return absl::OkStatus();
}

}  // namespace headroom
