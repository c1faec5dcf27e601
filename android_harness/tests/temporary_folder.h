// A folder that exists as long as a test.
#ifndef PWL_TESTS_TEMPORARY_FOLDER_H_
#define PWL_TESTS_TEMPORARY_FOLDER_H_

#include <filesystem>
#include <fstream>
#include <string>

namespace pwl {

class TemporaryFolder {
 public:
  explicit TemporaryFolder(
      const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "pwl-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};

}  // namespace pwl

#endif  // PWL_TESTS_TEMPORARY_FOLDER_H_
