// Plays as much of Arduino's core as a sketch needs that talks to a server and prints. The sketch is
// compiled behind it, and `main` runs it as a board would.
#pragma once

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

class String : public std::string {
 public:
  String(const char *text = "") : std::string(text) {}
  String(const std::string &text) : std::string(text) {}
  bool startsWith(const String &start) const { return rfind(start, 0) == 0; }
  String substring(unsigned int from) const { return substr(from); }
};

struct {
  void begin(unsigned long) {}
  template <class T> void print(const T &what) { std::cout << what; }
  template <class T> void println(const T &what) { std::cout << what << std::endl; }
} Serial;

inline void delay(unsigned long ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

void setup();
void loop();

int main() {
  setup();
  for (;;) loop();
}
