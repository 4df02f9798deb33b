#include "sharding/store/hdf5_file.h"

#include <hdf5.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/file.h"
#include "sharding/store/tensor_plan.h"

namespace lockstep {
namespace {

std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Keeps libhdf5 from printing its error stack; errors are reported by Status.
class Silence {
 public:
  Silence() {
    // A file that could not be closed because the disk is full would make the library loop, and
    // complain, at the end of the process. What can be closed is closed here.
    static const bool kNoExitHandler = H5dont_atexit() >= 0;
    (void)kNoExitHandler;
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Silence() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

// An owned identifier of libhdf5.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close close_function) : id_(id), close_(close_function) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() { close(); }

  bool ok() const { return id_ >= 0; }
  hid_t get() const { return id_; }
  // False when the library reports an error (a file may fail to be flushed).
  bool close() {
    const hid_t id = std::exchange(id_, -1);
    return id < 0 || close_(id) >= 0;
  }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

Error write_error(const std::string& path, const std::string& what) {
  if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) return system_error(errno, path, what);
  return Error{ErrorCode::kIo, path + ": " + what + ": HDF5 failed"};
}

Handle file_access(std::uint64_t threshold, std::uint64_t alignment) {
  Handle plist(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(plist.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_alignment(plist.get(), threshold, alignment);
  if (alignment == kPartAlignment) {
    // No blocks in advance: they would be aligned as well.
    H5Pset_meta_block_size(plist.get(), 0);
    H5Pset_small_data_block_size(plist.get(), 0);
  }
  return plist;
}

Handle without_times(hid_t plist_class) {
  Handle plist(H5Pcreate(plist_class), H5Pclose);
  H5Pset_obj_track_times(plist.get(), false);
  return plist;
}

Handle dataset_creation() {
  Handle plist = without_times(H5P_DATASET_CREATE);
  H5Pset_layout(plist.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(plist.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(plist.get(), H5D_FILL_TIME_NEVER);
  return plist;
}

bool write_attribute(hid_t object, const char* name, const std::string& text) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), text.size());
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  return attribute.ok() && H5Awrite(attribute.get(), type.get(), text.data()) >= 0;
}

bool write_attribute(hid_t object, const char* name, std::uint64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      H5Acreate2(object, name, H5T_STD_U64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  return attribute.ok() && H5Awrite(attribute.get(), H5T_NATIVE_UINT64, &value) >= 0;
}

// One file while its datasets are created. Alignment is a property of an open file in HDF5, so the
// file is closed and opened again where it changes.
class Skeleton {
 public:
  Skeleton(std::string path, std::uint64_t smallest)
      : path_(std::move(path)), smallest_(smallest) {}

  Status create(const Digest& source_sha256) {
    errno = 0;
    const Handle creation = without_times(H5P_FILE_CREATE);
    const Handle access = file_access(1, kDatasetAlignment);
    file_ = Handle(H5Fcreate(path_.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), H5Fclose);
    threshold_ = 1;
    alignment_ = kDatasetAlignment;
    const bool written = file_.ok() && write_attribute(file_.get(), "schema", kStoreSchema) &&
                         write_attribute(file_.get(), "schema_version", kStoreSchemaVersion) &&
                         write_attribute(file_.get(), "source_sha256", source_sha256.hex());
    if (!written) return write_error(path_, "create");
    return {};
  }

  Status add(StoredTensor& tensor, bool first_of_part) {
    errno = 0;
    // What is in /common may be smaller than the library's own metadata: there everything is
    // aligned.
    const std::uint64_t threshold = tensor.part < 0 ? 1 : smallest_;
    LOCKSTEP_TRY(reopen(threshold, kDatasetAlignment), "HDF5");
    LOCKSTEP_TRY(add_groups(tensor.name), "HDF5");
    if (first_of_part) LOCKSTEP_TRY(reopen(tensor.bytes, kPartAlignment), "HDF5");
    const hsize_t bytes = tensor.bytes;
    const Handle space(H5Screate_simple(1, &bytes, nullptr), H5Sclose);
    const Handle creation = dataset_creation();
    const Handle dataset(H5Dcreate2(file_.get(), tensor.name.c_str(), H5T_STD_U8LE, space.get(),
                                    H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                         H5Dclose);
    const bool written =
        dataset.ok() && write_attribute(dataset.get(), "format", stored_format_name(tensor)) &&
        write_attribute(dataset.get(), "layout", stored_layout_name(tensor)) &&
        write_attribute(dataset.get(), "rows", static_cast<std::uint64_t>(tensor.rows)) &&
        write_attribute(dataset.get(), "k", static_cast<std::uint64_t>(tensor.k));
    if (!written) return write_error(path_, "create dataset " + tensor.name);
    const haddr_t offset = H5Dget_offset(dataset.get());
    const std::uint64_t alignment = first_of_part ? kPartAlignment : kDatasetAlignment;
    if (offset == HADDR_UNDEF || offset % alignment != 0) {
      return Error{ErrorCode::kInternal, path_ + ": dataset " + tensor.name + " is not aligned"};
    }
    tensor.offset = offset;
    return {};
  }

  Status close() {
    errno = 0;
    if (!file_.close()) return write_error(path_, "close");
    return {};
  }

 private:
  Status reopen(std::uint64_t threshold, std::uint64_t alignment) {
    if (threshold == threshold_ && alignment == alignment_) return {};
    LOCKSTEP_TRY(close(), "reopen");
    const Handle access = file_access(threshold, alignment);
    file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose);
    if (!file_.ok()) return write_error(path_, "reopen");
    threshold_ = threshold;
    alignment_ = alignment;
    return {};
  }

  // Creates the groups above the dataset `name`.
  Status add_groups(const std::string& name) {
    for (std::size_t i = name.find('/', 1); i != std::string::npos; i = name.find('/', i + 1)) {
      const std::string group = name.substr(0, i);
      if (!groups_.insert(group).second) continue;
      const Handle creation = without_times(H5P_GROUP_CREATE);
      const Handle made(
          H5Gcreate2(file_.get(), group.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Gclose);
      if (!made.ok()) return write_error(path_, "create group " + group);
    }
    return {};
  }

  std::string path_;
  std::uint64_t smallest_;
  std::uint64_t threshold_ = 0;
  std::uint64_t alignment_ = 0;
  std::set<std::string> groups_;
  Handle file_;
};

Error differs(const std::string& path, const std::string& what) {
  return Error{ErrorCode::kCorrupt, path + ": " + what + " differs from the manifest"};
}

bool has_attribute(hid_t object, const char* name, const std::string& expected) {
  const Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  if (!attribute.ok()) return false;
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Tget_size(type.get()) != expected.size()) {
    return false;
  }
  std::string text(expected.size(), '\0');
  return H5Aread(attribute.get(), type.get(), text.data()) >= 0 && text == expected;
}

bool has_attribute(hid_t object, const char* name, std::uint64_t expected) {
  const Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
  if (!attribute.ok()) return false;
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tequal(type.get(), H5T_STD_U64LE) <= 0) return false;
  std::uint64_t value = 0;
  return H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value) >= 0 && value == expected;
}

Status check_dataset(const std::string& path, hid_t file, const StoredTensor& tensor) {
  const Handle dataset(H5Dopen2(file, tensor.name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.ok()) return differs(path, "dataset " + tensor.name + ": its existence");
  const Handle creation(H5Dget_create_plist(dataset.get()), H5Pclose);
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  hsize_t bytes = 0;
  const bool flat = H5Sget_simple_extent_ndims(space.get()) == 1 &&
                    H5Sget_simple_extent_dims(space.get(), &bytes, nullptr) == 1;
  if (!flat || bytes != tensor.bytes || H5Tequal(type.get(), H5T_STD_U8LE) <= 0) {
    return differs(path, "dataset " + tensor.name + ": size");
  }
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS || H5Pget_nfilters(creation.get()) != 0 ||
      H5Pget_external_count(creation.get()) != 0 || H5Dget_offset(dataset.get()) != tensor.offset) {
    return differs(path, "dataset " + tensor.name + ": place in the file");
  }
  if (!has_attribute(dataset.get(), "format", stored_format_name(tensor)) ||
      !has_attribute(dataset.get(), "layout", stored_layout_name(tensor)) ||
      !has_attribute(dataset.get(), "rows", static_cast<std::uint64_t>(tensor.rows)) ||
      !has_attribute(dataset.get(), "k", static_cast<std::uint64_t>(tensor.k))) {
    return differs(path, "dataset " + tensor.name + ": an attribute");
  }
  return {};
}

herr_t collect_dataset(hid_t, const char* name, const H5O_info_t* info, void* out) {
  if (info->type == H5O_TYPE_DATASET) {
    static_cast<std::set<std::string>*>(out)->insert("/" + std::string(name));
  }
  return 0;
}

}  // namespace

std::string stored_format_name(const StoredTensor& tensor) {
  return is_blob(tensor.kind) ? "bytes" : std::string(weight_format_name(tensor.format));
}

std::string stored_layout_name(const StoredTensor& tensor) {
  if (is_blob(tensor.kind)) return "blob";
  return is_norm(tensor.kind) ? "rows" : "p16";
}

Status create_hdf5(const std::string& path, const Digest& source_sha256,
                   std::span<StoredTensor> tensors, const std::vector<bool>& first_of_part) {
  const std::lock_guard lock(hdf5_mutex());
  const Silence silence;
  std::uint64_t smallest = UINT64_MAX;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.part >= 0) smallest = std::min(smallest, tensor.bytes);
  }
  Skeleton skeleton(path, smallest);
  LOCKSTEP_TRY(skeleton.create(source_sha256), "HDF5");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    LOCKSTEP_TRY(skeleton.add(tensors[i], first_of_part[i]), "HDF5");
  }
  return skeleton.close();
}

Status check_hdf5(const std::string& path, const Digest& source_sha256,
                  std::span<const StoredTensor> tensors) {
  const std::lock_guard lock(hdf5_mutex());
  const Silence silence;
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return Error{ErrorCode::kCorrupt, path + ": is no HDF5 file"};
  if (!has_attribute(file.get(), "schema", kStoreSchema) ||
      !has_attribute(file.get(), "schema_version", kStoreSchemaVersion) ||
      !has_attribute(file.get(), "source_sha256", source_sha256.hex())) {
    return differs(path, "a root attribute");
  }
  std::set<std::string> names;
  if (H5Ovisit2(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, collect_dataset, &names,
                H5O_INFO_BASIC) < 0) {
    return Error{ErrorCode::kCorrupt, path + ": HDF5 cannot list its datasets"};
  }
  for (const StoredTensor& tensor : tensors) {
    LOCKSTEP_TRY(check_dataset(path, file.get(), tensor), "HDF5");
    names.erase(tensor.name);
  }
  if (!names.empty()) return differs(path, "dataset " + *names.begin() + ": its existence");
  return {};
}

}  // namespace lockstep
