package android.content.pm;

public class PackageManager {
  public PackageInfo getPackageInfo(String name, int flags) {
    return new PackageInfo();
  }
}
