#include <tern/client.h>

#include <iostream>

int main(int, char** argv) {
  tern::client::Client client(argv[1]);
  const auto models = client.ListModels("");
  std::cout << models.status() << " " << models.value().models_size() << "\n";
}
