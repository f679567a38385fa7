#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/base/deadline.h"
#include "controller/providers/kubernetes/api.h"

namespace headroom::kubernetes {

constexpr size_t kObjectsMax = 150'000;  // of one list: as many pods as Kubernetes is made for

// Which objects, and how long it may take to hear of them.
struct ListCall {
  std::string path;       // of the collection, without a query: "/api/v1/namespaces/storage/pods"
  std::string selection;  // of the query, encoded: "labelSelector=team%3Deast"; empty: all
  absl::Duration page_timeout = absl::Seconds(30);
  Deadline deadline = Deadline(absl::InfiniteDuration());  // of all pages
  Cancellation* cancellation = nullptr;                    // as of an ApiCall
  // Takes from an object what nobody will look at, before the next page comes: a list of 10,000 whole pods is hundreds
  // of MB. Null: nothing.
  std::function<void(Json&)> trim = nullptr;
};

struct Listing {
  std::vector<Json> objects;
  std::string revision;  // resourceVersion: a watch from here on misses nothing
};

// All objects of a collection, page by page (client-go's pager). A list that the server has forgotten on its way (410)
// is begun again, once. Blocking; any thread. Beyond the errors of Api::Call(), each of which is of the whole list:
// UNAVAILABLE: the answer is no list. RESOURCE_EXHAUSTED: more than kObjectsMax, or more pages than such a list has.
absl::StatusOr<Listing> ListAll(Api& api, const ListCall& call);

}  // namespace headroom::kubernetes
