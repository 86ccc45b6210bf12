// Tern's C++ client as installed: tern::client::Client.

#ifndef TERN_CLIENT_H_
#define TERN_CLIENT_H_

#include "clients/cpp/tern_client.h"

#endif  // TERN_CLIENT_H_
