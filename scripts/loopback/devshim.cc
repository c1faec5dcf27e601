// devshim.so is preloaded into Debian's adbd, and into nothing else. It
// supplies what init and the framework supply on a phone:
//
//   * system properties, one file each in $DEVSHIM_PROPERTIES. adbd reads from
//     them where to listen (service.adb.listen_addrs) and who it is. Without
//     them Debian's adbd listens on all interfaces and on vsock.
//   * with $DEVSHIM_ACCEPT_KEYS=1, the framework's end of the authorisation
//     socket: the owner who presses "Allow" for every key.
//
// Programs that adbd starts inherit neither the preload nor these variables.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

namespace {

// In the sandbox's own /tmp: nothing outside can reach it.
constexpr char kAuthSocketPath[] = "/tmp/.adbd-authorisation";

sockaddr_un AuthAddress() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kAuthSocketPath, sizeof kAuthSocketPath);
  return address;
}

struct Settings {
  std::string properties;
  int auth_socket = -1;  // bound, not yet listening; -1: nobody answers

  Settings() {
    if (const char* folder = std::getenv("DEVSHIM_PROPERTIES")) {
      properties = folder;
    }
    if (std::getenv("DEVSHIM_ACCEPT_KEYS") != nullptr) {
      const sockaddr_un address = AuthAddress();
      auth_socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
      if (bind(auth_socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close(auth_socket);
        auth_socket = -1;
      }
    }
    for (const char* name : {"LD_PRELOAD", "DEVSHIM_PROPERTIES", "DEVSHIM_ACCEPT_KEYS"}) {
      unsetenv(name);
    }
  }
};

// Made on first use: a library that is initialized earlier may already ask.
const Settings& GetSettings() {
  static const Settings settings;
  return settings;
}

__attribute__((constructor)) void Initialize() { GetSettings(); }

// Says yes to each question "PK<public key>", as the dialog on a phone would.
void AnswerQuestions(int framework) {
  char message[8192];
  for (;;) {
    const ssize_t size = recv(framework, message, sizeof message, 0);
    if (size <= 0) break;
    if (std::string_view(message, size).substr(0, 2) == "PK" &&
        send(framework, "OK", 2, MSG_NOSIGNAL) != 2) {
      break;
    }
  }
  close(framework);
}

void StartFramework() {
  const sockaddr_un address = AuthAddress();
  const int framework = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connect(framework, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    std::thread(AnswerQuestions, framework).detach();
  } else {
    close(framework);
  }
  unlink(kAuthSocketPath);
}

}  // namespace

namespace android::base {

__attribute__((visibility("default"))) std::string GetProperty(const std::string& key,
                                                               const std::string& default_value) {
  const std::string& folder = GetSettings().properties;
  if (folder.empty() || key.find('/') != std::string::npos) {
    return default_value;
  }
  const int file = open((folder + "/" + key).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return default_value;
  char buffer[1024];
  const ssize_t size = read(file, buffer, sizeof buffer);
  close(file);
  return size > 0 ? std::string(buffer, size) : default_value;
}

}  // namespace android::base

extern "C" {

// adbd 34 leaves EINVAL in errno while it parses "tcp:localhost:PORT", and then
// takes a listen() that succeeded for one that failed.
__attribute__((visibility("default"))) int listen(int fd, int backlog) noexcept {
  const int result = static_cast<int>(syscall(SYS_listen, fd, backlog));
  if (result != 0) return result;
  if (fd == GetSettings().auth_socket) StartFramework();
  errno = 0;
  return 0;
}

__attribute__((visibility("default"))) int android_get_control_socket(const char* name) {
  return std::strcmp(name, "adbd") == 0 ? GetSettings().auth_socket : -1;
}

}  // extern "C"
