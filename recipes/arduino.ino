// Arduino with ArduinoHttpClient: holds one resource for as long as the device runs.
//
// One fixed request, repeated: it acquires, it renews, and after a reboot of the device or the server it
// comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
#include <ArduinoHttpClient.h>
#include <WiFiNINA.h>  // or WiFiS3, WiFi101, Ethernet, MKRGSM: whatever has a Client

const char SSID[] = "greenhouse";
const char PASSWORD[] = "tomatoes";
const char HOST[] = "192.168.1.5";
const int PORT = 8081;
// An owner that no other device is, and three times EVERY_MS, so that one lost request costs nothing.
const char LOCK[] = "/pool/buckets/lock?owner=greenhouse-7&ttl=90";
const unsigned long EVERY_MS = 30000;

WiFiClient wifi;
HttpClient client(wifi, HOST, PORT);

// The id of the resource that is ours, or nothing.
String hold() {
  if (client.post(LOCK) != HTTP_SUCCESS) {
    client.stop();
    Serial.println("no server");
    return "";
  }
  int status = client.responseStatusCode();  // below 0 where no answer comes
  String body = client.responseBody();
  client.stop();  // sockets are few
  if (status == 200) return body;
  Serial.print("not now: ");  // 409 busy
  Serial.print(status);
  Serial.print(" ");
  Serial.println(body);
  return "";
}

void setup() {
  Serial.begin(9600);
}

void loop() {
  if (WiFi.status() != WL_CONNECTED) {
    WiFi.begin(SSID, PASSWORD);
  }
  String bucket = hold();
  if (bucket != "") {
    Serial.print("holding ");
    Serial.println(bucket);
    // ... work with it, for less than EVERY_MS
  }
  delay(EVERY_MS);
}
