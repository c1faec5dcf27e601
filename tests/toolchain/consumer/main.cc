extern "C" int answer(const char* folder, const char* library);

int main(int count, char** words) { return count == 3 ? answer(words[1], words[2]) : 1; }
