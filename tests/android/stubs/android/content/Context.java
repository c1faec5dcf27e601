package android.content;

import android.content.pm.PackageManager;
import android.content.res.AssetManager;
import java.io.File;

/** An app's, whose files are in a folder that a test names. */
public abstract class Context {
  /** Where the app's files are: assets/, code_cache/ and so on. */
  public static File folder;

  public AssetManager getAssets() {
    return new AssetManager(new File(folder, "assets"));
  }

  public File getNoBackupFilesDir() {
    return within("no_backup");
  }

  public File getCodeCacheDir() {
    return within("code_cache");
  }

  public String getPackageName() {
    return "dev.pwl.sample";
  }

  public PackageManager getPackageManager() {
    return new PackageManager();
  }

  private static File within(String name) {
    File made = new File(folder, name);
    made.mkdirs();
    return made;
  }
}
