// Plays the library ArduinoHttpClient, as far as it sends in pieces and without a length, and as it takes
// the length of an answer by `Content-Length: `, in that spelling.
#pragma once

#include "WiFiNINA.h"

enum { HTTP_SUCCESS = 0, HTTP_ERROR_CONNECTION_FAILED = -1, HTTP_ERROR_TIMED_OUT = -3 };

class HttpClient {
  WiFiClient &client;
  std::string host;
  int port;
  long length = 0;

  std::string line() {
    std::string line;
    for (int byte; (byte = client.read()) >= 0 && byte != '\n';) {
      if (byte != '\r') line += char(byte);
    }
    return line;
  }

 public:
  HttpClient(WiFiClient &client, const char *host, int port) : client(client), host(host), port(port) {}

  int post(const char *path) {
    if (!client.connect(host.c_str(), port)) return HTTP_ERROR_CONNECTION_FAILED;
    for (const std::string &piece : {std::string("POST"), std::string(" "), std::string(path), std::string(" HTTP/1.1"),
                                     std::string("\r\n"), std::string("Host: "), host, ":" + std::to_string(port),
                                     std::string("\r\n"), std::string("User-Agent"), std::string(": "),
                                     std::string("Arduino/2.2.0"), std::string("\r\n"), std::string("\r\n")}) {
      if (!client.print(piece)) return HTTP_ERROR_CONNECTION_FAILED;
    }
    return HTTP_SUCCESS;
  }
  int responseStatusCode() {
    std::string status = line();
    length = 0;
    if (status.rfind("HTTP/1.", 0) != 0) return HTTP_ERROR_TIMED_OUT;
    for (std::string field = line(); field != ""; field = line()) {
      if (field.rfind("Content-Length: ", 0) == 0) length = std::stol(field.substr(16));
    }
    return std::stoi(status.substr(9));
  }
  String responseBody() {
    std::string body;
    while (long(body.size()) < length) body += char(client.read());
    length = 0;
    return body;
  }
  void stop() { client.stop(); }
};
