// Arduino with a Wi-Fi or Ethernet client: holds one resource for as long as the device runs.
//
// One fixed line, repeated: it acquires, it renews, and after a reboot of the device or the server it
// comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
// The socket stays open, so that an ask is three packets.
//
// A device that sleeps calls hold() when it wakes, and leases for longer than it sleeps, such as
// ttl=1800 for ten minutes: its owner gets the same resource again.
#include <WiFiNINA.h>  // or WiFiS3, WiFi101, Ethernet, MKRGSM: whatever has a Client

const char SSID[] = "greenhouse";
const char PASSWORD[] = "tomatoes";
const char HOST[] = "192.168.1.5";
const int PORT = 8081;
// An owner that no other device is, and three times EVERY_MS, so that one lost request costs nothing.
const char LOCK[] = "POST /pool/buckets/lock?owner=greenhouse-7&ttl=90\n";
const unsigned long EVERY_MS = 30000;

WiFiClient client;

// The line that answers, or nothing.
String ask() {
  if (!client.connected() && !client.connect(HOST, PORT)) return "";
  client.print(LOCK);  // in one piece, which is one packet
  return client.readStringUntil('\n');
}

// The id of the resource that is ours, or nothing.
String hold() {
  bool wasOpen = client.connected();
  String answer = ask();
  if (answer == "") {
    client.stop();
    if (wasOpen) answer = ask();  // the server may have restarted: once more, over a new socket
  }
  if (answer.startsWith("200 ")) return answer.substring(4);
  if (answer == "") {
    client.stop();
    Serial.println("no server");
    return "";
  }
  Serial.print("not now: ");  // 409 busy
  Serial.println(answer);
  return "";
}

void setup() {
  Serial.begin(9600);
  client.setTimeout(10000);
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
