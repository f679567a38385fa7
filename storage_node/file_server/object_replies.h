#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include "storage_node/file_server/http_rules.h"
#include "storage_node/file_server/object_store.h"
#include "storage_node/file_server/reply.h"

namespace headroom {

using RequestHead = boost::beast::http::request_header<boost::beast::http::fields>;

// The answers about objects, each a function of the request's head and the store. They may block on the disk.
// Conditions, ranges and errors are answered as RFC 9110 says.
Reply GetObject(const ObjectStore& store, const RequestTarget& target, const RequestHead& head);
Reply ListDirectory(const ObjectStore& store, const RequestTarget& target);
Reply DeleteObject(const ObjectStore& store, const RequestTarget& target, const RequestHead& head);
// Whether the conditions of a PUT or DELETE hold against what is stored now.
Condition CheckWrite(const ObjectStore& store, const RequestTarget& target, const RequestHead& head);
// The same, asked at the moment of the change; Aborted where they do not hold. The arguments outlive it.
Allow WriteGuard(const ObjectStore& store, const RequestTarget& target, const RequestHead& head);
// "GET /dir/" and "GET /dir?list" list; everything else names a file.
bool AsksForListing(const RequestTarget& target);

enum class Intent { kRead, kWrite };
Reply ErrorReply(const absl::Status& status, Intent intent);
absl::string_view HeaderOf(const RequestHead& head, boost::beast::http::field field);

}  // namespace headroom
