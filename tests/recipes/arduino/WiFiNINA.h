// Plays a Wi-Fi module whose connections are those of the computer.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "Arduino.h"

enum { WL_IDLE_STATUS, WL_CONNECTED };

struct {
  int state = WL_IDLE_STATUS;
  int status() { return state; }
  int begin(const char *, const char *) { return state = WL_CONNECTED; }
} WiFi;

class WiFiClient {
  int descriptor = -1;
  unsigned long timeout_ms = 1000;

 public:
  bool connect(const char *host, int port) {
    if (WiFi.status() != WL_CONNECTED) return false;
    stop();
    descriptor = socket(AF_INET, SOCK_STREAM, 0);
    // As a module does, each piece is a segment of its own.
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    timeval patience = {long(timeout_ms / 1000), 0};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (::connect(descriptor, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0) return true;
    stop();
    return false;
  }
  // Whether the module takes it for open, which it also does when the server has just closed it.
  bool connected() { return descriptor >= 0; }
  void setTimeout(unsigned long ms) { timeout_ms = ms; }
  // Returns the input up to this byte, which is dropped; or up to the time-out.
  String readStringUntil(char end) {
    std::string text;
    for (int byte; (byte = read()) >= 0 && byte != end;) text += char(byte);
    return text;
  }
  bool print(const std::string &piece) {
    return send(descriptor, piece.data(), piece.size(), MSG_NOSIGNAL) == ssize_t(piece.size());
  }
  // Returns a byte, or -1 if there is none left.
  int read() {
    unsigned char byte;
    return recv(descriptor, &byte, 1, 0) == 1 ? byte : -1;
  }
  void stop() {
    if (descriptor >= 0) close(descriptor);
    descriptor = -1;
  }
};
