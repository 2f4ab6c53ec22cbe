/*
 * Paths and their signatures by botocore 1.29.27.  The requests are those of test_sign_v4.c,
 * test_odd().
 */
#ifndef TESTS_UNIT_SIGN_V4_VECTORS_H
#define TESTS_UNIT_SIGN_V4_VECTORS_H

/* 1,015 bytes: with "/bucket/" before them a path of 1,024 */
#define K5 "kkkkk"
#define K35 K5 K5 K5 K5 K5 K5 K5
#define K203 K35 K35 K35 K35 K35 K5 K5 K5 K5 "kkkkkkkk"
#define K1015 K203 K203 K203 K203 K203

static const struct {
	const char *path;
	const char *signature;
} odd_keys[] = {
	{ "/plain", "9e35c11b8ffc25b3129b806f6832d2133abaffcf0157f196a0e839ecc82010fb" },
	{ "/a b", "af019be8ec87a4996742579f75f1dbdee5fe31356404d145027300629d10b5f4" },
	{ "/\303\274/\346\227\245\346\234\254",
	    "c2e0c26fa8268cc0960aa676eafb2612ba0271d19662b7671ea9605067e2cbea" },
	{ "/+", "1e1b1de357ba0841bb65f8d4cfd27c2524356824d90d8b2f215891f2483ac9d8" },
	{ "/&", "0fedcc8b8511faefeef30fcf8b21d405799bb9413893499245ea196dc59c5982" },
	{ "/=", "619658440ed16a63d62a452e77660df031a63a2a42de53f053ee30a520a2c095" },
	{ "/%", "25889c7e46220fd4a60ebd85de7c6dab67a29bed85d4238e99a00b57073a0cc5" },
	{ "/%2F%20", "c00b552ac369f46ece990a42b6fd08b7a7107eae0a14ca0e6bc8ef7822380314" },
	{ "/~", "e0e50c69c16ed8378e5d1665fe9d06449b23957bcc578e5ad18770d8e3bfd33b" },
	{ "/?", "4f32d8576f8714e4ea92a79150914bc6667f0c77e32b48702d45ebc9c817eb6e" },
	{ "/#", "3ec82f5b926a36e7afe5ccb2925b0e4da981204a81b7ad88081ab3e690d190da" },
	{ "/a/../b", "7e92d6aa6d76f2af5dfcc8e22242cec1a36e27dc2b8c101853d727fe1635b357" },
	{ "/..", "340dc3d9f89ffb449889d1e1ff045030533511a2644d75d77fbed14834b18f26" },
	{ "/a//b", "5f3b94ad309540023dcc277485a3dea42a2813243622ef715582bc921d3af82b" },
	{ "//a", "5278043d0bc5ce993529c6a33ec3b384e0dbd25b542eaaf813ea6945e91c9235" },
	{ "/!'()*", "49fe8b8187a4bb3ab8746ef5298d3e85fe5c9ab5b6f04a68ece68fc36e590617" },
	{ "/:;@,$", "6ada436e841aec9fc914a3abf165e99525a83b35b471417aa8fd450155a5ed2c" },
	{ "/+ & = % ~ ? #", "9a4485f756d01dc780c2671c709b5378ea966eaa9f71e8fac4874dd8e76d06f6" },
	{ "/bucket/" K1015, "db786273ecc3bf624cb52d5e5fefbdc112462b9a77ff4b59444d5ee3fcc2a5c7" },
	{ "/a\\\"b<>[]^`{|}", "e8444ef573fd2906715ffc36de8e62519be40d5d52ef6e72f0067cd3f32db582" },
};

#endif
