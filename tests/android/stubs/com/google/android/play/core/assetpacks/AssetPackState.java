package com.google.android.play.core.assetpacks;

public abstract class AssetPackState {
  public abstract String name();

  public abstract int status();
}
