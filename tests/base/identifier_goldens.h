// Written by tests/base/make_identifier_goldens.py, an independent implementation of the chain
// design.
#pragma once

namespace lockstep::golden {

inline constexpr char kTagged[] =
    "faabb2467dffc3a29782d40b3372edefdef0ebee653f67940efe49d5c537e46a";
inline constexpr char kTree0[] = "06f28d2b4120b6d3f2767462600105b625c1651a5cef1ae959e4817b95e012d3";
inline constexpr char kTree1[] = "1b3fdaae5684b972d31521f1b3eb61c4ffe0e3898a452b41d7fbdbbd27abf713";
inline constexpr char kTree2[] = "c71a0957390d35e3115a21153f876eab14ed2c86706afcf1ea3946e4bfb00f0c";
inline constexpr char kTree3[] = "986e17a104801ffb9ef72f1936f766711cae6aeff3760a1379a920ec5c5d0fba";
inline constexpr char kTree8[] = "cee247429f7c2b64cb0c72afb3585a11fcb446fad325734763041ce87859621c";
inline constexpr char kTree9[] = "400b7b14123278fa31c1e2f58a32c91e5885f5cd4ceea7340d55bd91633e9ebf";
inline constexpr char kSamplingDefault[] =
    "e7a27008c46fed83a24c327be7368306ab7dc188bd595ebb74ee0cc27d04c7fa";
inline constexpr char kSamplingAll[] =
    "cfcca6049899a3a427f58c32ef38ffe4cdced3e35cbc5c5da2064396f214af86";
inline constexpr char kPrompt0[] =
    "f379d7aa5836fc12fa6ffee9c1a9effdeb6c7715cd6998842fdafe41c52e157d";
inline constexpr char kPrompt3[] =
    "a913f4788aedc90de7fd57a5ff153aeceab2cd6347e5c4c8ed053d83a3e137d6";
inline constexpr char kSpec[] = "15235b7f9e5809e7a0bc12074c6a7cdc82b1f53d993b040379381d419fd253c5";
inline constexpr char kJob[] = "4d3d97f859b7db03819379a4f43a11cc1408318092942e83fabfd4815f8cb88b";
inline constexpr char kJobLocal[] =
    "025c30b8d1dc39e3fe6c8e04c60a4d4c184e684af3e6719f31fd846f7f69ba0a";
inline constexpr char kOutput0[] =
    "6540105886223092d6ab64153fcb1680b141fdc497050e7ee9355d7a778abe46";
inline constexpr char kOutput3[] =
    "95a674a76d10ca1077cbb9520e96e1f263332f7d8fcaa6e2af18a2575dd3d59a";
inline constexpr char kLogits1[] =
    "3f811f344b5ae81aad32ce2035b4ed7fb98c1e3207114bceaa60682f262a5cf4";
inline constexpr char kLogits1024[] =
    "f8144fdff677c7c2293417de14497c08eb4abce5316d1aecb12b6408fc10fa9b";
inline constexpr char kLogits1025[] =
    "fe1ad167b8ec92551a169fc0206fcda5754d902200a87148ab011440954bcdd0";
inline constexpr char kLogits3000[] =
    "3bf23a12658f97bd929aa8a410b78d97c56c23d9ef742afb3e7af1c5814a0aca";
inline constexpr char kTrace0[] =
    "06f28d2b4120b6d3f2767462600105b625c1651a5cef1ae959e4817b95e012d3";
inline constexpr char kTrace1[] =
    "761ac938a2a62501613e7e6f26c902c28927ee3746a5fa4e77c586d5264ab94d";
inline constexpr char kTrace5[] =
    "6614d82f99888a71025a00a1845ff43a98a1d02b467ab09d3bf7a86ae08cbb7b";
inline constexpr char kResult[] =
    "40542a1055ebd687d226f5ee4f831331256081d4746846279fc4127bb11c75e9";

}  // namespace lockstep::golden
