#include "tests/controller/sim/stories.h"

#include <vector>

#include "controller/base/check.h"
#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const std::vector<Telling>& All() {
  static const auto& all = *new std::vector<Telling>([] {
    std::vector<Telling> stories;
    for (const absl::Span<const Telling> some :
         {StoriesOfNights(), StoriesOfCoincidence(), PlainStories(), StoriesOfNothing(), LaterStories()})
      stories.insert(stories.end(), some.begin(), some.end());
    return stories;
  }());
  return all;
}

}  // namespace

size_t StoryCount() {
  return All().size();
}

const Story& StoryAt(size_t index) {
  return All()[index].story;
}

Incident MakeStory(size_t index, uint64_t seed) {
  HR_CHECK(index < StoryCount());
  Teller teller(StoryAt(index).cause, seed, index);
  All()[index].tell(teller);
  return teller.Told();
}

}  // namespace headroom::sim
