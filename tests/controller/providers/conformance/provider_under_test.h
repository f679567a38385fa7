#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "controller/providers/provider.h"

namespace headroom {

enum class Verb { kList, kLaunch, kTerminate };

// What goes wrong at the platform with the next call of a kind.
enum class Trouble {
  kThrottled,      // refused for now, with a pause that is asked for (429 and Retry-After)
  kServerError,    // 5xx before anything is done
  kPartialEffect,  // a change of several writes: the first is done, the last fails
  kLostAnswer,     // done, and instead of the answer the connection ends
  kConflict,       // somebody else has written in between (409)
  kForbidden,      // from now on
  kSilence,        // no answer at all
};

// ProviderUnderTest: a provider, the platform that it speaks to, and what the suite must know of it. A platform has
// kNodesAtFirst nodes, or none.
class ProviderUnderTest {
 public:
  static constexpr int kNodesAtFirst = 3;
  static constexpr absl::Duration kPatience = absl::Seconds(20);

  virtual ~ProviderUnderTest() = default;
  virtual Provider& provider() = 0;
  // What the platform runs and keeps, asked behind the provider's back. In no order.
  virtual std::vector<NodeId> Nodes() = 0;
  // What it is told to run: more than Nodes() while some are still to come.
  virtual int Asked() { return static_cast<int>(Nodes().size()); }

  // Another controller comes to the same platform, and knows nothing. False: there is no such thing.
  virtual bool Reopen() { return false; }
  // Calls that change something, as the platform counts them. -1: nobody counts.
  virtual int Writes() { return -1; }
  // False: this does not happen here.
  virtual bool Inject(Trouble, Verb) { return false; }
  // A version of next year: one of the nodes is in a state whose name nobody knows. False: there are no names.
  virtual bool SayUnknownWord() { return false; }
  // What was remembered of the past is gone at the platform (410). False: it keeps none.
  virtual bool Compact() { return false; }
  // From now on the platform has no machines, and says so. False: it never says.
  virtual bool RunOutOfStock() { return false; }
  // New machines come when this is over. False: they always come at once.
  virtual bool ComeLate() { return false; }
};

using MakeProvider = std::unique_ptr<ProviderUnderTest> (*)();

struct ProviderKind {
  std::string name;
  MakeProvider make = nullptr;
  ProviderCapabilities can;  // what it is known to be able to

  friend std::ostream& operator<<(std::ostream& out, const ProviderKind& kind) { return out << kind.name; }
};

// What a program runs the suite for.
std::vector<ProviderKind> KindsUnderTest();

std::unique_ptr<ProviderUnderTest> MakeLocal();
std::unique_ptr<ProviderUnderTest> MakeSimulated();
std::unique_ptr<ProviderUnderTest> MakeStatefulSet();
std::unique_ptr<ProviderUnderTest> MakeDeployment();
std::unique_ptr<ProviderUnderTest> MakeCustomResource();
std::unique_ptr<ProviderUnderTest> MakeAutoScalingGroup();
std::unique_ptr<ProviderUnderTest> MakeExternal();
std::unique_ptr<ProviderUnderTest> MakePythonExample();

}  // namespace headroom
