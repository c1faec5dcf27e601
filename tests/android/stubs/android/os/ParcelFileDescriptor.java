package android.os;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;

public class ParcelFileDescriptor implements Closeable {
  private final RandomAccessFile file;

  public ParcelFileDescriptor(File path) throws IOException {
    file = new RandomAccessFile(path, "r");
  }

  public int getFd() {
    try {
      java.lang.reflect.Field number = java.io.FileDescriptor.class.getDeclaredField("fd");
      number.setAccessible(true);
      return number.getInt(file.getFD());
    } catch (ReflectiveOperationException | IOException error) {
      throw new IllegalStateException(error);
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
