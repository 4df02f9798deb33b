// The rows of the source, read back out of a store's files: what `weights_root` is checked against.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "sharding/store.h"

namespace lockstep {

// Recomputes `weights_root` from the files of a store and compares; checks the padding rows as
// well. Requires: the files have passed their hashes, and `files` are they, in the manifest's
// order.
Status check_weights_root(const Manifest& manifest, const std::vector<MappedFile>& files);

}  // namespace lockstep
