#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/providers/kubernetes/api.h"
#include "controller/server/operator/cluster_events.h"

namespace headroom {

// The object that an Event is of.
struct EventTarget {
  std::string name_space, name, uid;
  auto operator<=>(const EventTarget&) const = default;
};

// When something happened: by a clock that only goes forward, for all that is reckoned, and by that of the day.
struct EventTime {
  absl::Duration steady;
  absl::Time day;
};

// A bucket that has `burst` tokens at first, and one more each `refill`.
class TokenBucket {
 public:
  struct Rate {
    double burst = 1;
    absl::Duration refill;
  };
  TokenBucket(Rate rate, absl::Duration now) : rate_(rate), tokens_(rate.burst), at_(now) {}
  // Takes one, unless fewer than `kept` would be left.
  bool Take(absl::Duration now, double kept = 0);
  // How long until there is one; zero: now.
  absl::Duration Wait(absl::Duration now) const;
  absl::Duration at() const { return at_; }

 private:
  double Tokens(absl::Duration now) const;
  Rate rate_;
  double tokens_;
  absl::Duration at_;
};

// EventSeries: which Events are to be written, and when, by the rules of client-go's broadcaster of events.k8s.io/v1:
// what happens again within kGap (the same object, type, action and reason, whatever the note) is no new Event but one
// more of its series, whose count begins at 2. The count is written at most once in kRewrite. A new Event takes a token
// of its object, so that none floods the list (kBurst, then one each kRefill; the last kReserved are for warnings); one
// more of a series takes none. A value, not thread-safe.
class EventSeries {
 public:
  static constexpr absl::Duration kGap = absl::Minutes(5), kRewrite = absl::Seconds(10), kRefill = absl::Minutes(5);
  static constexpr int kBurst = 25, kReserved = 5;
  static constexpr size_t kSeriesMax = 1000;   // more at a time are refused
  static constexpr size_t kTargetsMax = 4096;  // whose tokens are counted; the one longest unheard of is forgotten
  static constexpr int kTriesMax = 5;          // of one write

  struct Key {
    EventTarget target;
    ClusterEvent::Type type = ClusterEvent::Type::kNormal;
    std::string reason, action;
    auto operator<=>(const Key&) const = default;
  };
  struct Write {
    Key key;
    int64_t count = 0;  // that it will have told of
    kubernetes::ApiCall call;
  };

  // `instance`: of this process, the pod or the host.
  explicit EventSeries(absl::string_view instance);

  // false: refused, as there are too many.
  [[nodiscard]] bool Take(const EventTarget& target, const ClusterEvent& event, EventTime now);

  // The write that has been due for longest; nothing: none is.
  std::optional<Write> Due(absl::Duration now);
  // When the next one is; infinite: none will be.
  absl::Duration NextDue() const;

  // What became of it: it was written, its Event is gone from the server, it may succeed later, it never will. `now`
  // counts for the next rewrite. Retry() and Drop() return whether it is given up.
  void Written(const Write& write, absl::Duration now);
  void Gone(const Write& write);
  bool Retry(const Write& write);
  void Drop(const Write& write);

 private:
  struct Series {
    kubernetes::Json event;  // without its series
    int64_t count = 1, written = 0;
    absl::Duration last_at, due_at;  // due_at: while count exceeds written
    absl::Time last_day;
    int tries = 0;
  };
  bool TakeToken(const EventTarget& target, ClusterEvent::Type type, absl::Duration now);
  void Forget(absl::Duration now);
  kubernetes::Json Body(const EventTarget& target, const ClusterEvent& event, EventTime now);

  const std::string instance_;
  std::map<Key, Series> series_;
  std::map<EventTarget, TokenBucket> tokens_;
  int64_t last_name_ = 0;
};

}  // namespace headroom
