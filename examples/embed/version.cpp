// The headers are plain C that C++ takes as well.
#include <nnfuse.h>

#include <iostream>

int main() {
    std::cout << "nnfuse " << nnf_version() << '\n';
    return 0;
}
