package android.content.res;

import java.io.File;
import java.io.IOException;

/** Of a folder, whose files count as stored. */
public final class AssetManager {
  private final File folder;

  public AssetManager(File folder) {
    this.folder = folder;
  }

  public String[] list(String path) throws IOException {
    String[] names = new File(folder, path).list();
    return names == null ? new String[0] : names;
  }

  public java.io.InputStream open(String path) throws IOException {
    return new java.io.FileInputStream(new File(folder, path));
  }

  public AssetFileDescriptor openFd(String path) throws IOException {
    File file = new File(folder, path);
    if (!file.exists()) {
      throw new java.io.FileNotFoundException("This file can not be opened as a file descriptor");
    }
    return new AssetFileDescriptor(new android.os.ParcelFileDescriptor(file), 0, file.length());
  }
}
