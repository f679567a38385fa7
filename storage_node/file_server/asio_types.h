#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace headroom {

// Asio with its executor known at compile time: no virtual call on the way of a request.
namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
template <typename T>
using Awaitable = asio::awaitable<T, Executor>;
inline constexpr asio::use_awaitable_t<Executor> kAwait;

// co_await Sleep(executor, duration).
inline Awaitable<void> Sleep(Executor executor, absl::Duration duration) {
  Timer timer(executor, absl::ToChronoNanoseconds(duration));
  ErrorCode ignored;
  co_await timer.async_wait(asio::redirect_error(kAwait, ignored));
}

// co_await RunOn(pool, work): runs `work` on a thread of the pool, for calls that block on the disk, and comes back to
// the thread that awaits with its result.
template <typename Work>
Awaitable<std::invoke_result_t<Work>> RunOn(asio::thread_pool& pool, Work work) {
  std::optional<std::invoke_result_t<Work>> result;
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [&](auto&& handler) {
        asio::post(pool, [&result, &work, handler = std::forward<decltype(handler)>(handler)]() mutable {
          result.emplace(work());
          const auto executor = asio::get_associated_executor(handler);
          asio::post(executor, std::move(handler));
        });
      },
      kAwait);
  co_return *std::move(result);
}

}  // namespace headroom
