#include "controller/core/diagnosis/diagnosis.h"

namespace headroom {

Diagnosis Diagnose(const Fleet&, const FleetSummary&, const Policy&, DiagnosisMemory& memory, absl::Time) {
  return memory.last;
}

}  // namespace headroom
