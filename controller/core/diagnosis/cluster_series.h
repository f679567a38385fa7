#pragma once

namespace headroom {

// ClusterSeries: the cluster's own past, for diagnosis to hold the present against.
class ClusterSeries {
 public:
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};

}  // namespace headroom
