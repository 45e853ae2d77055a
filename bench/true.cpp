// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The cheapest program there is: what starting a static one costs.
int main() { return 0; }
