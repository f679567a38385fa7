#include "controller/core/reason.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "controller/core/reason_sentences.h"

namespace headroom {
namespace {

const ReasonRow& RowOf(ReasonCode code) {
  const auto index = static_cast<size_t>(code);
  return kReasonRows[index < std::size(kReasonRows) ? index : 0];
}

// A placeholder, taken apart: {share%} is name "share", mark '%'.
struct Placeholder {
  absl::string_view name;
  char mark = 0;
};

Placeholder ParsePlaceholder(absl::string_view inside) {
  if (!inside.empty() && (inside.back() == '%' || inside.back() == '#')) {
    return {inside.substr(0, inside.size() - 1), inside.back()};
  }
  return {inside, 0};
}

// Calls visit(Placeholder) or text(piece) for each part of a piece of a sentence.
template <typename OnText, typename OnPlaceholder>
void Walk(absl::string_view piece, OnText&& on_text, OnPlaceholder&& on_placeholder) {
  while (!piece.empty()) {
    const size_t open = piece.find('{');
    on_text(piece.substr(0, open));
    if (open == absl::string_view::npos) return;
    const size_t close = piece.find('}', open);
    on_placeholder(ParsePlaceholder(piece.substr(open + 1, close - open - 1)));
    piece.remove_prefix(close + 1);
  }
}

std::string WithSeparators(double value) {
  const std::string digits = absl::StrFormat("%.0f", std::abs(value));
  std::string text = value < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string RenderNumber(double value) {
  if (!std::isfinite(value)) return "?";
  const double size = std::abs(value);
  if (size < 0.0005) return "0";
  if (size >= 99.95) return WithSeparators(value);
  return size < 1 ? absl::StrFormat("%.2g", value) : absl::StrFormat("%.3g", value);
}

std::string RenderBytes(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; std::abs(bytes) >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return absl::StrCat(RenderNumber(bytes), " ", kUnits[unit]);
}

std::string RenderDuration(absl::Duration value) {
  const absl::Duration size = absl::AbsDuration(value);
  if (size == absl::InfiniteDuration()) return "ever";
  const absl::Duration unit = size >= absl::Hours(1)           ? absl::Minutes(1)
                              : size >= absl::Minutes(1)       ? absl::Seconds(1)
                              : size >= absl::Seconds(1)       ? absl::Milliseconds(100)
                              : size >= absl::Milliseconds(10) ? absl::Milliseconds(1)
                              : size >= absl::Milliseconds(1)  ? absl::Microseconds(100)
                                                               : absl::Microseconds(1);
  return absl::FormatDuration(absl::Floor(value + unit / 2, unit));
}

std::string RenderArgument(const ReasonArgument& argument, char mark) {
  if (const auto* text = std::get_if<std::string>(&argument)) return text->empty() ? "?" : *text;
  if (const auto* duration = std::get_if<absl::Duration>(&argument)) return RenderDuration(*duration);
  const double number = std::get<double>(argument);
  if (mark == '%') return absl::StrCat(RenderNumber(100 * number), " %");
  return mark == '#' ? RenderBytes(number) : RenderNumber(number);
}

// One reason being rendered.
class Rendering {
 public:
  explicit Rendering(const Reason& reason) : reason_(reason), names_(ReasonArgumentNames(reason.code)) {}

  void Append(absl::string_view piece) {
    Walk(
        piece, [this](absl::string_view text) { absl::StrAppend(&text_, text); },
        [this](const Placeholder& placeholder) {
          const ReasonArgument* argument = Find(placeholder.name);
          absl::StrAppend(&text_, argument == nullptr ? "?" : RenderArgument(*argument, placeholder.mark));
        });
  }

  void AppendClause(absl::string_view clause) {
    const std::vector<absl::string_view> ways = absl::StrSplit(clause, '|');
    const auto way = std::find_if(ways.begin(), ways.end(), [this](absl::string_view w) { return IsComplete(w); });
    if (way != ways.end()) {
      Append(*way);
    } else if (ways.size() > 1) {
      Append(ways.back());
    }
  }

  std::string text() && { return std::move(text_); }

 private:
  const ReasonArgument* Find(absl::string_view name) const {
    const auto index = static_cast<size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    if (index >= reason_.arguments.size()) return nullptr;
    const auto* text = std::get_if<std::string>(&reason_.arguments[index]);
    return text != nullptr && text->empty() ? nullptr : &reason_.arguments[index];
  }

  bool IsComplete(absl::string_view piece) const {
    bool complete = true;
    Walk(
        piece, [](absl::string_view) {},
        [&](const Placeholder& placeholder) { complete = complete && Find(placeholder.name) != nullptr; });
    return complete;
  }

  const Reason& reason_;
  std::vector<std::string> names_;
  std::string text_;
};

}  // namespace

absl::string_view ReasonName(ReasonCode code) {
  return RowOf(code).name;
}

ReasonCode ReasonOfName(absl::string_view name) {
  const auto* row =
      std::find_if(std::begin(kReasonRows), std::end(kReasonRows), [&](const ReasonRow& r) { return name == r.name; });
  return row == std::end(kReasonRows) ? ReasonCode::kNone : row->code;
}

absl::string_view ReasonSentence(ReasonCode code) {
  return RowOf(code).sentence;
}

std::vector<std::string> ReasonArgumentNames(ReasonCode code) {
  std::vector<std::string> names;
  Walk(
      ReasonSentence(code), [](absl::string_view) {},
      [&](const Placeholder& placeholder) {
        if (std::find(names.begin(), names.end(), placeholder.name) == names.end()) {
          names.emplace_back(placeholder.name);
        }
      });
  return names;
}

std::string RenderReason(const Reason& reason) {
  Rendering rendering(reason);
  absl::string_view rest = ReasonSentence(reason.code);
  while (!rest.empty()) {
    const size_t open = rest.find('[');
    rendering.Append(rest.substr(0, open));
    if (open == absl::string_view::npos) break;
    const size_t close = rest.find(']', open);
    rendering.AppendClause(rest.substr(open + 1, close - open - 1));
    rest.remove_prefix(close + 1);
  }
  return std::move(rendering).text();
}

}  // namespace headroom
