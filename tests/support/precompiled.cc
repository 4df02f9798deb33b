// Exists so that the precompiled headers of the tests have a target.
int main() { return 0; }
