#pragma once

#include <string>

#include <nlohmann/json.hpp>

// What an API server itself makes of paths and objects, for FakeApiServer. Pure functions.

namespace headroom::kubernetes {

// A path of the API taken apart. Of what is no resource (/apis/GROUP/VERSION), resource is empty.
struct ObjectPath {
  std::string root;  // "/apis/headroom.dev/v1alpha1"
  std::string name_space, resource, name, subresource;
};
ObjectPath ParseObjectPath(const std::string& path);

// Whether a collection has the object at `path`: right below it, or, where it names no namespace, in any of them.
bool IsIn(const std::string& collection, const std::string& path);

// Whether a labelSelector ("app=files,tier in (gold)"; empty: all) selects the object. One value in the brackets.
bool IsSelected(const std::string& selector, const nlohmann::json& object);

// The object as it is stored: with name, namespace and uid; a storage cluster's generation grows with its spec, and its
// status stays unless there is another. `before`: what is stored, or null.
nlohmann::json Stored(const std::string& path, const nlohmann::json& before, nlohmann::json object);

// What is wrong with an Event of events.k8s.io/v1 by the server's rules, and with what is changed of one; "": nothing.
std::string FaultOfEvent(const nlohmann::json& before, const nlohmann::json& event);

}  // namespace headroom::kubernetes
