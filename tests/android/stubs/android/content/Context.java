package android.content;

import java.io.File;

public abstract class Context {
  public abstract android.content.res.AssetManager getAssets();

  public abstract File getNoBackupFilesDir();
}
