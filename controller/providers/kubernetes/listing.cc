#include "controller/providers/kubernetes/listing.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/base/percent_encoding.h"
#include "controller/base/status.h"

namespace headroom::kubernetes {
namespace {

constexpr size_t kPageSize = 500;
// A server may send less than is asked for, even pages without an object.
constexpr size_t kPagesMax = 10 * kObjectsMax / kPageSize;
static_assert(kPagesMax * kPageSize >= kObjectsMax);

// Go says null where there are none. Anything else is no list, and nobody is gone for that.
bool IsEmptyList(const Json& page) {
  return Part(page, {"items"}).is_null() && absl::EndsWith(Text(page, {"kind"}), "List");
}

absl::StatusOr<Json> ReadPage(Api& api, const ListCall& call, const std::string& next) {
  const std::string selection = call.selection.empty() ? "" : absl::StrCat(call.selection, "&");
  const std::string after = next.empty() ? "" : absl::StrCat("&continue=", PercentEncoded(next));
  HR_ASSIGN_OR_RETURN(Json page, api.Call({.path = absl::StrCat(call.path, "?", selection, "limit=", kPageSize, after),
                                           .timeout = std::min(call.page_timeout, call.deadline.left()),
                                           .cancellation = call.cancellation}));
  if (Part(page, {"items"}).is_array() || IsEmptyList(page)) return page;
  return absl::UnavailableError(absl::StrCat(call.path, " was not answered with a list"));
}

absl::StatusOr<Listing> ListOnce(Api& api, const ListCall& call) {
  Listing listing;
  std::string next;
  for (size_t pages = 0; pages < kPagesMax && listing.objects.size() <= kObjectsMax; ++pages) {
    HR_ASSIGN_OR_RETURN(Json page, ReadPage(api, call, next));
    for (Json& object : page["items"]) {
      if (call.trim != nullptr) call.trim(object);
      listing.objects.push_back(std::move(object));
    }
    listing.revision = Text(page, {"metadata", "resourceVersion"});
    next = Text(page, {"metadata", "continue"});
    if (next.empty() && listing.objects.size() <= kObjectsMax) return listing;
  }
  return absl::ResourceExhaustedError(absl::StrCat(call.path, " has more than ", kObjectsMax, " objects or ", kPagesMax,
                                                   " pages: select fewer by a label or a namespace"));
}

}  // namespace

absl::StatusOr<Listing> ListAll(Api& api, const ListCall& call) {
  absl::StatusOr<Listing> listing = ListOnce(api, call);
  return absl::IsOutOfRange(listing.status()) ? ListOnce(api, call) : listing;
}

}  // namespace headroom::kubernetes
