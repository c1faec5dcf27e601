package com.google.android.play.core.assetpacks;

import com.google.android.gms.tasks.Task;
import java.util.List;

public interface AssetPackManager {
  void registerListener(AssetPackStateUpdateListener listener);

  AssetPackLocation getPackLocation(String packName);

  Task<AssetPackStates> fetch(List<String> packNames);
}
