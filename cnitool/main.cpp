// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
int main() { return 1; }
